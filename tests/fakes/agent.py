"""A SipAgent that only remembers what it was asked: the stand-in for everything above the stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware.fxs.pcm import SILENCE
from firmware.telephony.agent import AgentEvent, AgentStarted, BridgePort, SipAccount, SipSettings, TraceMessage


@dataclass(frozen=True, slots=True)
class Command:
    """One call of a method: `Command("invite", (1, "home", "0142685300"), {"emergency": False, ...})`."""

    name: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class FakeBridge:
    """Keeps what the line said and plays what the test queued."""

    def __init__(self) -> None:
        self.registered = 0
        self.from_line: deque[bytes] = deque(maxlen=1000)
        self.to_line: deque[bytes] = deque()

    def register_thread(self) -> None:
        self.registered += 1

    def put(self, frame: bytes) -> None:
        self.from_line.append(frame)

    def get(self) -> bytes:
        return self.to_line.popleft() if self.to_line else SILENCE


class FakeAgent:
    """Commands are recorded in order; events come only when the test emits them.

    `start` delivers `AgentStarted(port)` at once, unless `silent_start`.
    """

    def __init__(self, *, port: int = 5060, silent_start: bool = False) -> None:
        self.commands: list[Command] = []
        self.accounts: tuple[SipAccount, ...] = ()
        self.settings: SipSettings | None = None
        self.line_bridge = FakeBridge()
        self.messages: list[TraceMessage] = []
        self.running = False
        self._port = port
        self._silent_start = silent_start
        self._deliver: Callable[[AgentEvent], None] | None = None

    # --- the test's side

    def emit(self, event: AgentEvent) -> None:
        """Deliver an event as the stack would."""
        assert self._deliver is not None, "the agent was not started"
        self._deliver(event)

    def take(self) -> list[Command]:
        """The commands since the last take."""
        taken, self.commands = self.commands, []
        return taken

    def names(self) -> list[str]:
        """The names of the commands since the last take."""
        return [c.name for c in self.commands]

    # --- SipAgent

    def start(self, settings: SipSettings, deliver: Callable[[AgentEvent], None]) -> None:
        self.settings, self._deliver, self.running = settings, deliver, True
        if not self._silent_start:
            deliver(AgentStarted(self._port))

    def stop(self, timeout: float = 3.0) -> None:
        self.running = False
        self._note("stop", timeout)

    def set_accounts(self, accounts: Sequence[SipAccount]) -> None:
        self.accounts = tuple(accounts)
        self._note("set_accounts", self.accounts)

    def register_now(self, account: str) -> None:
        self._note("register_now", account)

    def bridge(self) -> BridgePort:
        return self.line_bridge

    def invite(self, call: int, account: str, target: str, *, emergency: bool = False, anonymous: bool = False) -> None:
        self._note("invite", call, account, target, emergency=emergency, anonymous=anonymous)

    def ring(self, call: int) -> None:
        self._note("ring", call)

    def answer(self, call: int) -> None:
        self._note("answer", call)

    def end(self, call: int, sip_code: int = 0) -> None:
        self._note("end", call, sip_code)

    def connect(self, call: int) -> None:
        self._note("connect", call)

    def disconnect(self, call: int) -> None:
        self._note("disconnect", call)

    def hold(self, call: int) -> None:
        self._note("hold", call)

    def resume(self, call: int) -> None:
        self._note("resume", call)

    def send_digit(self, call: int, digit: str) -> None:
        self._note("send_digit", call, digit)

    def trace(self, limit: int) -> list[TraceMessage]:
        return self.messages[-limit:]

    def _note(self, name: str, *args: Any, **options: Any) -> None:
        self.commands.append(Command(name, args, options))
