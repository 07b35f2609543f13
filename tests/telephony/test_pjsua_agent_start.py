"""A SIP agent whose stack does not start says so, whatever the reason was."""

from __future__ import annotations

import queue

import pytest

from firmware.telephony import pjsua_agent
from firmware.telephony.agent import AgentEvent, AgentFailed, CallDisconnected, SipSettings


class NoWorker:
    """A worker that cannot be."""

    def __init__(self, *_: object) -> None:
        raise KeyError("a field that nobody thought of")


def test_an_unforeseen_error_at_the_start_is_told_and_calls_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pjsua_agent, "Worker", NoWorker)
    events: queue.SimpleQueue[AgentEvent] = queue.SimpleQueue()
    agent = pjsua_agent.PjsuaAgent()
    agent.start(SipSettings(), events.put)
    failed = events.get(timeout=5)
    assert isinstance(failed, AgentFailed)
    assert "a field that nobody thought of" in failed.detail
    agent.invite(1, "home", "112", emergency=True)
    over = events.get(timeout=5)
    assert isinstance(over, CallDisconnected)
    assert over.sip_code == 503
    agent.stop()
