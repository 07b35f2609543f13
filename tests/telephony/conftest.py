"""What the tests of the SIP agent share: its process, one a module, and the provider that it registers with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import SipPeer


@pytest.fixture(scope="module")
def shared() -> Iterator[AgentProcess]:
    """The agent in a process of its own: no callback of it fails, and it ends within three seconds."""
    agent = AgentProcess()
    yield agent
    try:
        assert agent.call("errors") == 0
        assert agent.close() < 3.0
    finally:
        agent.kill()


@pytest.fixture
def provider() -> Iterator[SipPeer]:
    """A registrar and peer that does what the test says."""
    peer = SipPeer()
    yield peer
    peer.close()
