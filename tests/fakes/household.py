"""A whole household in virtual time: handset, line machine, switchboard and calls, real; hook and SIP, fake.

Time moves only with `pass_time`; the contact makes and breaks as a hand would do it, cleanly
(bounce is `tests/fxs/test_hook.py`'s business).
"""

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from firmware.clock import ManualClock
from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookSettings
from firmware.fxs.port import Capability, LoopEdge, PortEvent
from firmware.fxs.ringer import Ringer
from firmware.numbering import Dialled
from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.call import CallSettings
from firmware.telephony.calls import Registration, Switchboard
from firmware.telephony.distribution import LineWishes
from firmware.telephony.handset import Handset, LineSnapshot
from firmware.telephony.handset_waiting import OffHookId
from firmware.telephony.ledger import Ledger
from firmware.telephony.line import LineMachine
from firmware.telephony.routing import Quote
from tests.fakes.agent import Command, FakeAgent

FR = country.load("FR")


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualTime:
    """An event loop's timers without a loop."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, _Timer, Callable[[], object]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._clock.monotonic()

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        timer = _Timer()
        heapq.heappush(self._due, (when, next(self._order), timer, lambda: callback(*args)))
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.time() + seconds
        while self._due and self._due[0][0] <= end:
            when, _, timer, callback = heapq.heappop(self._due)
            self._clock.advance(max(0.0, when - self.time()))
            if not timer.cancelled:
                callback()
        self._clock.advance(max(0.0, end - self.time()))


class FakePort:
    """Contacts and bell."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self) -> None:
        self.closed = False
        self.bell = False

    def start(self, deliver: Callable[[PortEvent], None]) -> None: ...

    def stop(self) -> None:
        self.bell = False

    def loop_closed(self) -> bool:
        return self.closed

    def start_ring(self, frequency_hz: float) -> None:
        assert frequency_hz == 50
        self.bell = True

    def stop_ring(self) -> None:
        self.bell = False

    def set_polarity(self, *, reverse: bool) -> None: ...

    def set_power(self, *, on: bool) -> None: ...


class FakeVoice:
    """What the handset would hear, by name."""

    def __init__(self) -> None:
        self.powered = False
        self.hears: str | None = None
        self.laid: list[str] = []
        self.listening = False
        self.muting = False
        self.sounded = ""
        self.caller_ids: list[bytes] = []

    def open(self) -> None:
        self.powered = True

    def close(self) -> None:
        self.powered = False
        self.hears = None

    def reset(self) -> None:
        self.hears = None

    def play_tone(self, name: str) -> None:
        self.hears = name

    def play_samples(self, pcm: bytes) -> None:
        self.hears = pcm.decode()

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        self.hears = f"{pcm.decode()} {wait_ms}"

    def play_nothing(self) -> None:
        self.hears = None

    def mix(self, pcm: bytes) -> None:
        if pcm:
            self.laid.append(pcm.decode())

    def listen(self, *, on: bool, mute: bool) -> None:
        self.listening, self.muting = on, mute

    def sound_digit(self, digit: str) -> None:
        self.sounded += digit


class FakeMoney:
    """Says prices by name: at once, later (`say`), or not at all."""

    def __init__(self) -> None:
        self.at_once = True
        self.unsaid: list[Callable[[bytes], object]] = []

    def price(self, announce: ev.Announce, told: Callable[[bytes], object]) -> None:
        pcm = f"price {announce.price} {announce.remaining}".encode()
        if self.at_once:
            told(pcm)
        else:
            self.unsaid.append(lambda made: told(pcm and made))

    def warning(self, seconds: float) -> bytes:
        return f"warning {seconds:g}".encode()


class FakePins:
    """Checks PINs at once, later, or breaks."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.asked: list[tuple[int, str]] = []
        self.broken = False
        self.waiting: list[Callable[[], object]] | None = None

    def check(self, line: int, pin: str, told: Callable[[str | None], object]) -> None:
        self.asked.append((line, pin))
        if self.broken:
            raise RuntimeError("no PIN can be read")
        answer = self.labels.get(pin)
        if self.waiting is None:
            told(answer)
        else:
            self.waiting.append(lambda: told(answer))


class FakeTariff:
    """Two cents a minute by every account, unless told to break.

    `announce`, `limit`: by account, "" for all of them; `locked`: the label of the PIN that opens an account.
    """

    def __init__(self, board: Callable[[], Switchboard]) -> None:
        self._board = board
        self.broken = False
        self.destination: str | None = None
        self.asked = 0
        self.announce: dict[str, ev.Announce] = {}
        self.limit: dict[str, float] = {}
        self.locked: dict[str, str | None] = {}  # the label that opens it
        self.reason: ev.Words | None = None

    def quotes(self, dialled: Dialled, line: int, pin: str | None = None) -> Sequence[Quote]:
        del dialled, line
        self.asked += 1
        if self.broken:
            raise RuntimeError("the deck is on fire")
        accounts = self._board().registrations
        return [
            Quote(
                name,
                entry.registered,
                destination=self.destination,
                reason=self.reason,
                announce=self.announce.get(name, self.announce.get("")),
                max_seconds=self.limit.get(name, self.limit.get("")),
                needs_pin=name in self.locked and (pin is None or pin != self.locked[name]),
            )
            for name, entry in accounts.items()
        ]


class Household:
    """One box, any accounts, and one telephone (`port`, `voice`, `handset`) or more (`ports`, `voices`, `handsets`).

    `wishes` are those of the lines, which are as many.
    """

    def __init__(
        self,
        data: Path,
        accounts: Sequence[str] = ("home",),
        *,
        call_waiting: bool = True,
        wishes: Sequence[LineWishes] = (LineWishes(),),
    ) -> None:
        self.clock = ManualClock()
        self.time = VirtualTime(self.clock)
        self.agent = FakeAgent()
        self.ledger = Ledger(data / "box.db", self.clock)
        self.ledger.start()
        self.ports = {line: FakePort() for line in range(1, len(wishes) + 1)}
        self.voices = {line: FakeVoice() for line in self.ports}
        self.port, self.voice = self.ports[1], self.voices[1]
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self.last_good: list[str] = []
        self.outlook = ev.Outlook.READY
        self.spoken: list[ev.Words] = []
        self.tariff = FakeTariff(lambda: self.board)
        self.money = FakeMoney()
        self.pins = FakePins()
        self.announce_above: Decimal | None = Decimal("0.15")
        self.times = CallSettings()
        self.board = Switchboard(
            agent=self.agent,
            scheduler=self.time,
            book=self.ledger,
            tariff=self.tariff,
            country="FR",
            emergency_accounts=lambda: self.last_good,
            emergency_tariff='{"free": true}',
            setup_code=lambda: "123456",
            outlook_of=self._outlook_of,
            told=lambda kind, row: self.told.append((kind, row)),
            announce_above=lambda: self.announce_above,
            pins=self.pins,
            times=lambda: self.times,
        )
        self.handsets = {line: self._handset(line, call_waiting=call_waiting) for line in self.ports}
        self.handset = self.handsets[1]
        for handset, wish in zip(self.handsets.values(), wishes, strict=True):
            self.board.add_line(handset, wish)
        self.agent.start(sip.SipSettings(), self.board.agent_event)
        self.board.accounts_changed(accounts)
        for account in accounts:
            self.register(account)
        self.agent.take()

    def _handset(self, line: int, *, call_waiting: bool) -> Handset:
        return Handset(
            line,
            port=self.ports[line],
            voice=self.voices[line],
            hook=HookDecoder(HookSettings.for_country(FR)),
            ringer=Ringer(FR.ring),
            machine=LineMachine(services.analyse, None, self.board.new_key, call_waiting=call_waiting),
            scheduler=self.time,
            caller_id=self._caller_id,
            speech=self._speech,
            changed=self._changed,
            off_hook_id=self._off_hook_id,
            money=self.money,
        )

    def close(self) -> None:
        self.ledger.stop()

    def _outlook_of(self, registrations: Mapping[str, Registration]) -> ev.Outlook:
        if not registrations:
            return ev.Outlook.NO_ACCOUNT
        ready = any(entry.registered for entry in registrations.values())
        return ev.Outlook.READY if ready else ev.Outlook.UNREGISTERED

    def _caller_id(self, caller: ev.Caller) -> bytes:
        absence = caller.absence.value if caller.absence else ""
        return f"caller-id {caller.number or absence} {caller.name or ''}".encode()

    def _off_hook_id(self, caller: ev.Caller) -> OffHookId:
        return OffHookId(b"alert", self._caller_id(caller))

    def _speech(self, words: ev.Words, digits: str) -> bytes:
        self.spoken.append(words)
        return f"{words.value} {digits}".strip().encode()

    def _changed(self, snapshot: LineSnapshot) -> None:
        self.told.append(("line", {"state": snapshot.state}))

    # --- what a person does

    def register(self, account: str, *, ok: bool = True) -> None:
        self.agent.emit(sip.RegistrationChanged(account, ok, 200 if ok else 403, "OK" if ok else "Forbidden"))

    def _contact(self, *, closed: bool, line: int = 1) -> None:
        self.ports[line].closed = closed
        self.handsets[line].port_event(LoopEdge(closed, self.time.time()))

    def lift(self, line: int = 1) -> None:
        self._contact(closed=True, line=line)
        self.time.pass_time(0.2)

    def hang_up(self, line: int = 1) -> None:
        self._contact(closed=False, line=line)
        self.time.pass_time(1.5)

    def flash(self) -> None:
        self._contact(closed=False)
        self.time.pass_time(0.27)
        self._contact(closed=True)
        self.time.pass_time(0.2)

    def dial(self, digits: str, line: int = 1) -> None:
        for digit in digits:
            self.handsets[line].digit(digit)
            self.time.pass_time(0.1)

    def rotary(self, digits: str) -> None:
        for digit in digits:
            for _ in range(int(digit) or 10):
                self._contact(closed=False)
                self.time.pass_time(0.066)
                self._contact(closed=True)
                self.time.pass_time(0.033)
            self.time.pass_time(0.6)

    # --- what is seen

    def invites(self) -> list[Command]:
        return [command for command in self.agent.take() if command.name == "invite"]

    def records(self) -> list[dict[str, Any]]:
        self.ledger.flush().result(5)
        return self.ledger.query(limit=200)
