"""One telephone: its parts put together, and the clock that makes them tick each 10 ms.

Nothing here knows of processes or of who drives it; see `telephone` and `telephone_server`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from firmware.fxs import wire
from firmware.fxs.callerid_message import CallerIdMessage, Message, WaitingMessage
from firmware.fxs.pcm import FRAME_MS, SAMPLE_RATE_HZ, SILENCE, WIDE_RATE_HZ
from firmware.fxs.telephone_bell import Bell
from firmware.fxs.telephone_dialer import Keying, keyed
from firmware.fxs.telephone_ears import Ears, Samples
from firmware.fxs.telephone_hook import FLASH_MS, Contacts, Dial, HungUpError
from firmware.fxs.telephone_plans import plan_of
from firmware.fxs.telephone_playout import Playout
from firmware.fxs.telephone_set import WIDE_SILENCE, AnalogSet, Sound, Tap
from firmware.fxs.telephone_waiting import ANSWER, ANSWER_KEYING, SecondCaller, Step
from firmware.fxs.telephone_wide import WideLine
from firmware.fxs.telephone_wire import FarEnd

_log = logging.getLogger(__name__)

_TICK = FRAME_MS / 1000
# Less than this since the last frame was sent: the box had no time to answer, this process came late.
_STALLED_SECONDS = 0.9 * _TICK
_RESYNC_SECONDS = 0.5
_AUDIBLE = 64  # sample value: about -51 dBm0 peak, above any comfort noise
_MAX_PPM = 1000.0


class RefusedError(Exception):
    """The telephone cannot do that now; the words are for a person."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The telephone's make. `hybrid_loss_db` None: no echo; `noise_dbm0` None: a quiet line. `second_caller`: whether
    its display shows a caller who waits (type 2).
    """

    ppm: float = 0.0
    hybrid_loss_db: float | None = 20.0
    noise_dbm0: float | None = None
    bounce_ms: float = 5.0
    country: str = "FR"
    seed: int = 1
    second_caller: bool = True

    def __post_init__(self) -> None:
        if not abs(self.ppm) <= _MAX_PPM:
            msg = f"a clock {self.ppm} ppm off is broken: -{_MAX_PPM:.0f} to {_MAX_PPM:.0f}"
            raise ValueError(msg)
        if not 0 <= self.bounce_ms <= 50:  # noqa: PLR2004 - a worn hook switch
            msg = f"contacts bounce for 0 to 50 ms, not {self.bounce_ms}"
            raise ValueError(msg)

    @property
    def tick_seconds(self) -> float:
        """A frame by the telephone's own clock: a fast one plays 10 ms in less."""
        return _TICK / (1 + self.ppm * 1e-6)


@dataclass(slots=True)
class Marks:
    """Monotonic seconds of what a bench times."""

    lift_settled: float | None = None
    first_sound: float | None = None
    digit_end: float | None = None
    ring_on: float | None = None
    hang_up: float | None = None


class Telephone:
    """One telephone on line `line` of the box at `data`. Methods may be called from any thread."""

    def __init__(self, data: Path, line: int, settings: Settings) -> None:
        plan = plan_of(settings.country)
        self._period = settings.tick_seconds
        self._set = AnalogSet(settings.hybrid_loss_db, settings.noise_dbm0, settings.seed)
        self._random = np.random.default_rng(settings.seed + 1)
        self._contacts = Contacts(self._edge, settings.bounce_ms, Random(settings.seed))  # noqa: S311 - bounce, no secret
        self._bell = Bell(plan.ring_pause_ms, plan.display)
        self._ears = Ears(plan)
        self._ears_lock = threading.Lock()
        self._second = SecondCaller(plan.display.standard) if settings.second_caller else None
        self._playout = Playout()
        self._wide: WideLine | None = None
        self._wire = FarEnd(data, line, self._loop, self._signalled)
        self._news = threading.Condition()
        self._happened: Counter[str] = Counter()
        self._hearing: str | None = None
        self._battery = wire.Battery.NORMAL
        self._powered = False
        self._flush = False
        self._listening = False
        self._sent_at = 0.0
        self._late_ticks = 0
        self._marks = Marks()
        self._stopping = False
        self._wake = threading.Event()
        self._ticker = threading.Thread(target=self._run, name="telephone-tick", daemon=True)

    def start(self) -> None:
        """Plug in."""
        self._ticker.start()
        self._wire.start()

    def stop(self) -> None:
        """Hang up and unplug."""
        self.hang_up()
        self._stopping = True
        self._wake.set()
        with self._news:
            self._news.notify_all()
        self._ticker.join(2.0)
        self._wire.stop()

    # --- what a hand does ----------------------------------------------------------------------

    def lift(self) -> None:
        """Take the handset off; nothing if it is off. Just hung up, it stays down for long enough first."""
        self._contacts.stay_down()
        rings = self._bell.ringing(time.monotonic())
        if not self._contacts.off_hook:
            with self._ears_lock:
                self._ears.lifted(expect_dial_tone=not rings)
        if self._contacts.lift():
            self._bell.rest(answered=rings)
            self._marks.lift_settled = self._contacts.settled_at
            self._marks.first_sound = None
            self._wake.set()

    def hang_up(self) -> None:
        """Put the handset down; nothing if it is down. Ends what is being dialled, played and recorded."""
        if self._contacts.hang_up():
            self._marks.hang_up = self._contacts.changed_at
            self._set.silence()
            self._hear_nothing()
            self._bell.clear()
            if self._second is not None:
                self._second.clear()
                self._set.open()

    def stay_down(self) -> None:
        """After hanging up: return when no exchange takes it for a flash any more."""
        self._contacts.stay_down()

    def flash(self, ms: float = FLASH_MS) -> None:
        """Press R. Raises HungUpError on-hook."""
        self._contacts.flash(ms)
        with self._ears_lock:
            self._ears.lifted(expect_dial_tone=True)

    def dial(self, digits: str, keying: Keying) -> None:
        """Press the keys; returns after the last digit's pause. Raises HungUpError."""
        self._need_handset()
        samples, end = keyed(digits, keying, self._random)
        sound = self._set.put(samples)
        with self._ears_lock:
            self._ears.dialled()
        self._finish(sound)
        self._marks.digit_end = sound.at(end)

    def dial_pulses(self, digits: str, dial: Dial) -> None:
        """Turn the dial; returns at the last make. Raises HungUpError."""
        with self._ears_lock:
            self._ears.dialled()
        self._marks.digit_end = self._contacts.pulses(digits, dial)

    @property
    def rate_hz(self) -> int:
        """Of what is played and recorded: 16,000 on a wide line, as the box last said."""
        return SAMPLE_RATE_HZ if self._wide is None else WIDE_RATE_HZ

    def play(self, samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> dict[str, Any]:
        """Play into the microphone; returns when done, with the first and last sample's times. Raises HungUpError."""
        self._need_handset()
        sound = self._set.put(samples, rate_hz)
        self._finish(sound)
        return {"started_at": sound.started_at, "ended_at": sound.at(samples.size)}

    def tap(self, seconds: float, *, wide: bool = False) -> Tap:
        """Begin to keep what the earpiece hears (on-hook: the line, while it rings). Raises RefusedError.

        `wide`: as a wide line brings it.
        """
        if not self._contacts.off_hook and not self._bell.ringing(time.monotonic()):
            raise RefusedError("the handset is on-hook and the telephone does not ring: there is nothing to hear")
        tap = self._set.tap(round(seconds * SAMPLE_RATE_HZ), wide=wide)
        self._wake.set()
        return tap

    def leave(self, tap: Tap) -> None:
        """Stop keeping early."""
        self._set.leave(tap)

    def put(self, samples: Samples) -> Sound:
        """Put a sound on the line and do not wait. Raises RefusedError on-hook."""
        self._need_handset()
        return self._set.put(samples)

    def _need_handset(self) -> None:
        if not self._contacts.off_hook:
            raise RefusedError("the handset is on-hook: lift it first")

    def _finish(self, sound: Sound) -> None:
        sound.finished.wait()
        if sound.cut:
            raise HungUpError("the handset was hung up meanwhile")

    # --- what an ear and an eye notice -----------------------------------------------------------

    def begin_wait(self, event: str) -> int:
        """A ticket for `wait`: events from now on count."""
        with self._news:
            return self._happened[event]

    def wait(self, event: str, timeout: float, ticket: int) -> bool:
        """Until `event` holds or has happened since the ticket; False after `timeout` seconds."""
        with self._news:
            return self._news.wait_for(
                lambda: self._stopping or self._happened[event] > ticket or self._holds(event), timeout
            )

    def state(self) -> dict[str, Any]:
        """What `allobox phone state --json` prints."""
        now = time.monotonic()
        caller = self._shown()
        return {
            "hook": "off" if self._contacts.off_hook else "on",
            "ringing": self._bell.ringing(now),
            "ring_hz": self._bell.voltage_hz,
            "hearing": self._hearing,
            "caller_id": None if caller is None else asdict(caller),
            "messages": {"lamp": self._bell.display.lamp, "count": self._bell.display.waiting},
            "clock": self._bell.display.clock,
            "slipped_frames": self._playout.slipped_frames,
            "late_frames": self._playout.late_frames,
            "dropped_frames": self._playout.dropped_frames,
            "late_ticks": self._late_ticks,
            "line_connected": self._wire.connected,
            "battery": self._battery.name.lower(),
            "audio": self._powered,
        }

    def marks(self) -> dict[str, float | None]:
        """The bench's moments, and `now`."""
        return {**asdict(self._marks), "now": time.monotonic()}

    def _holds(self, event: str) -> bool:
        if event == "ring":
            return self._bell.voltage_hz > 0 and not self._contacts.off_hook
        if event == "message-waiting":
            return self._bell.display.lamp
        if event == "caller-id":
            waits = self._second is not None and self._second.caller is not None
            return waits or self._bell.presents(time.monotonic())
        # A stutter tone is a dial tone that says more.
        return self._hearing == event or (event == "dial-tone" and self._hearing == "stutter-tone")

    def _announce(self, *events: str) -> None:
        with self._news:
            self._happened.update(events)
            self._news.notify_all()

    # --- the wire ----------------------------------------------------------------------------------

    def _loop(self) -> wire.Loop:
        return wire.Loop(self._contacts.closed, self._contacts.changed_at)

    def _edge(self, closed: bool, at: float) -> None:  # noqa: FBT001 - Contacts' callback
        self._wire.contact(wire.Loop(closed, at))

    def _signalled(self, order: wire.Signal | None) -> None:
        """An order of the box; None: the box is gone, and with it ring voltage and sound."""
        now = time.monotonic()
        match order:
            case wire.Ring(frequency_hz):
                if self._bell.voltage(frequency_hz, now):
                    self._marks.ring_on = now
                    self._announce("ring")
            case wire.Feed(battery):
                if wire.Battery.OFF not in {self._battery, battery} and battery is not self._battery:
                    self._bell.reversed(now)
                self._battery = battery
            case wire.Audio(powered, wide):
                self._flush = True
                self._powered = powered
                if powered and wide is not (self._wide is not None):
                    self._wide = WideLine() if wide else None
                if not powered and not self._contacts.off_hook:
                    # A box listens and speaks on-hook from the first ring to the last: it has given up this call.
                    self._bell.rest()
                self._wake.set()
            case None:
                self._powered = False
                self._flush = True
                self._bell.voltage(0.0, now)
                self._bell.rest()
            case wire.Loop():
                _log.warning("the box sent a contact: it has none")

    # --- time ---------------------------------------------------------------------------------------

    def _live(self) -> bool:
        return self._powered or self._contacts.off_hook or self._set.busy

    def _run(self) -> None:
        deadline = time.monotonic()
        while not self._stopping:
            if not self._live():
                self._wake.clear()
                if not self._live() and not self._stopping:
                    self._wake.wait()
                deadline = time.monotonic()
            time.sleep(max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            if now - deadline > _RESYNC_SECONDS:
                _log.warning("the telephone stood still for %.0f ms", (now - deadline) * 1000)
                deadline = now
            self._tick(deadline, now)
            deadline += self._period

    def _tick(self, deadline: float, now: float) -> None:
        """Play a frame, send a frame, then listen to what was played."""
        heard = self._played(stalled=now - self._sent_at < _STALLED_SECONDS)
        battery = self._battery is not wire.Battery.OFF
        held = self._contacts.closed if self._contacts.off_hook else self._powered
        wide = self._wide  # once: the box's orders come on another thread
        plain = battery and (held or not self._contacts.off_hook)
        numbers = []
        for place, frame in enumerate(heard):
            whole = WIDE_SILENCE
            if wide is not None:
                whole, heard[place] = wide.heard(frame if plain else WIDE_SILENCE)
            numbers.append(self._set.hear(heard[place] if plain else SILENCE, deadline, whole))
        if not heard:
            self._set.pause()
        frame = self._set.speak(deadline - _TICK, connected=battery and held)
        if self._powered:
            self._wire.send(frame if wide is None else wide.spoken(frame, self._set.above))
        self._sent_at = time.monotonic()
        for pcm, samples in zip(heard, numbers, strict=True):
            self._listen(pcm, samples, deadline)

    def _played(self, *, stalled: bool) -> list[bytes]:
        """The frames that sound at this tick: one, or for a tick of ours that came late none now and two later."""
        arrived = self._wire.frames()
        if self._flush:
            # What waited on the wire belongs to the last time the voice path was awake.
            self._flush = False
            self._playout.reset()
            arrived = None
        if not self._powered or arrived is None:
            return [SILENCE]
        for counter, frame in arrived:
            self._playout.arrived(counter, frame)
        frames = self._playout.tick(stalled=stalled)
        if not frames and stalled and self._playout.owes:
            self._late_ticks += 1
            return []
        return frames or [SILENCE]

    def _listen(self, pcm: bytes, samples: Samples, at: float) -> None:
        if not self._contacts.off_hook:
            if self._powered:
                self._read(self._bell.hear(pcm, at))
            return
        if self._marks.first_sound is None:
            loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
            if loud.size:
                self._marks.first_sound = at + float(loud[0]) / SAMPLE_RATE_HZ
        muted = self._show_second(pcm, samples, at)
        with self._ears_lock:
            hearing = self._ears.feed(np.zeros_like(samples) if muted else samples)
        if hearing != self._hearing and self._contacts.off_hook:
            self._hearing = hearing
            if hearing is not None:
                self._announce(hearing)

    def _read(self, message: Message | None) -> None:
        """The display shows something new."""
        if isinstance(message, WaitingMessage):
            self._announce("message-waiting")
        elif message is not None:
            self._announce("caller-id")

    def _show_second(self, pcm: bytes, samples: Samples, at: float) -> bool:
        """Listen for who waits while somebody speaks; whether the earpiece is muted."""
        if self._second is None:
            return False
        muted = self._second.muted
        match self._second.hear(pcm, samples, at):
            case Step.ANSWER:
                self._set.mute_but(self._set.put(keyed(ANSWER, ANSWER_KEYING, self._random)[0]))
            case Step.SHOWN:
                self._set.open()
                self._announce("caller-id")
            case Step.GIVEN_UP:
                self._set.open()
            case None:
                pass
        return muted or self._second.muted

    def _shown(self) -> CallerIdMessage | None:
        """The caller on the display: who waits, or the one who rang."""
        if self._second is not None and self._second.caller is not None:
            return self._second.caller
        return self._bell.caller

    def _hear_nothing(self) -> None:
        with self._ears_lock:
            self._ears.lifted(expect_dial_tone=False)
        self._hearing = None
