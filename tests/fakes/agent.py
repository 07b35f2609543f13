"""A SipAgent that only remembers what it was asked: the stand-in for everything above the stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware.fxs.pcm import SILENCE
from firmware.telephony.agent import AgentEvent, AgentStarted, Bridge, SipAccount, SipSettings, TraceMessage


@dataclass(frozen=True, slots=True)
class Command:
    """One call of a method: `Command("invite", (1, "home", "0142685300"), {"emergency": False, ...})`."""

    name: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class FakeLinePort:
    """Keeps what one line said at each tick, and plays what the test queued."""

    def __init__(self) -> None:
        self.joined = True
        self.from_line: deque[bytes] = deque(maxlen=1000)
        self.to_line: deque[bytes] = deque()
        self._spoken: bytes | None = None
        self._heard = SILENCE

    def put(self, frame: bytes) -> None:
        self._spoken = frame

    def get(self) -> bytes:
        heard, self._heard = self._heard, SILENCE
        return heard

    def tick(self) -> None:
        if self._spoken is not None:
            self.from_line.append(self._spoken)
            self._spoken = None
        self._heard = self.to_line.popleft() if self.to_line else SILENCE


class FakeBridge:
    """As many lines as are asked for; `ticks` counts. `from_line` and `to_line` are the first line's."""

    def __init__(self) -> None:
        self.registered = 0
        self.ticks = 0
        self.ports: dict[int, FakeLinePort] = {}

    @property
    def from_line(self) -> deque[bytes]:
        return self.line(1).from_line

    @property
    def to_line(self) -> deque[bytes]:
        return self.line(1).to_line

    def register_thread(self) -> None:
        self.registered += 1

    def line(self, line: int) -> FakeLinePort:
        return self.ports.setdefault(line, FakeLinePort())

    def tick(self) -> None:
        self.ticks += 1
        for port in self.ports.values():
            port.tick()


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

    def bridge(self) -> Bridge:
        return self.line_bridge

    def invite(self, call: int, account: str, target: str, *, emergency: bool = False, anonymous: bool = False) -> None:
        self._note("invite", call, account, target, emergency=emergency, anonymous=anonymous)

    def ring(self, call: int) -> None:
        self._note("ring", call)

    def answer(self, call: int) -> None:
        self._note("answer", call)

    def end(self, call: int, sip_code: int = 0) -> None:
        self._note("end", call, sip_code)

    def connect(self, call: int, line: int = 1) -> None:
        self._note("connect", call, line=line)

    def disconnect(self, call: int) -> None:
        self._note("disconnect", call)

    def hold(self, call: int) -> None:
        self._note("hold", call)

    def resume(self, call: int) -> None:
        self._note("resume", call)

    def fax(self, call: int) -> None:
        self._note("fax", call)

    def send_digit(self, call: int, digit: str) -> None:
        self._note("send_digit", call, digit)

    def trace(self, limit: int) -> list[TraceMessage]:
        return self.messages[-limit:]

    def _note(self, name: str, *args: Any, **options: Any) -> None:
        self.commands.append(Command(name, args, options))
