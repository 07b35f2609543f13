"""What the tests of the SIP agent share: its process, one a module, and the provider that it registers with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.agent_process import AgentProcess, agent_that_ends_well
from tests.fakes.sip_peer import SipPeer


@pytest.fixture(scope="module")
def shared() -> Iterator[AgentProcess]:
    """The module's agent."""
    with agent_that_ends_well() as agent:
        yield agent


@pytest.fixture
def provider() -> Iterator[SipPeer]:
    """A registrar and peer that does what the test says."""
    peer = SipPeer()
    yield peer
    peer.close()
