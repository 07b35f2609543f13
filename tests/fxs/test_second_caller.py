"""A second caller shown off-hook, in samples: the box's voice at one end, a telephone at the other, 10 ms at a time.

What is measured is measured where the telephone is connected, with numpy, not asked of the code that made it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from firmware.fxs import country, waiting_sound
from firmware.fxs.pcm import SILENCE
from firmware.fxs.telephone_dialer import keyed
from firmware.fxs.telephone_ears import Samples
from firmware.fxs.telephone_set import AnalogSet
from firmware.fxs.telephone_waiting import ANSWER, ANSWER_KEYING, SecondCaller, Step
from firmware.fxs.voice import LineVoice
from firmware.fxs.waiting import WaitingSettings
from firmware.telephony import events as ev
from firmware.telephony.handset_waiting import OffHookId, WaitingCaller
from tests.fakes import signals

CALLER = ev.Caller("0612345678", "Zoé Durand")
AT = datetime(2026, 11, 24, 18, 30)  # noqa: DTZ001 - local time, as displays have it
COUNTRIES = [code for code in country.codes() if country.load(code).caller_id.standard != "dtmf"]


class _Timer:
    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when, self.call = when, call

    def cancel(self) -> None:
        self.when = float("inf")


class Line:
    """Both ends, and what each heard. `way` frames lie between them each way; they speak 1000 and 600 Hz."""

    def __init__(
        self,
        code: str = "FR",
        *,
        way: int = 1,
        shows: bool = True,
        loss_db: float | None = 20.0,
        caller_id: bool = True,
        answer: str = ANSWER,
        late_ms: int = 0,
    ) -> None:
        home = self.home = country.load(code)
        self.now = 100.0
        self.timers: list[_Timer] = []
        self.told: deque[Callable[[], object]] = deque()
        self.sent_digits: list[str] = []
        self.voice = LineVoice(home, on_digit=self._digit, on_speech_end=lambda: self.told.append(self._ended))
        self.voice.listen(on=True)
        self.box = WaitingCaller(
            self,
            self,
            self._shown if caller_id else lambda _: None,
            WaitingSettings(period=waiting_sound.period_seconds(home)),
        )
        self.set = AnalogSet(loss_db, None, 1)
        self.second = SecondCaller(home.caller_id.standard) if shows else None
        self.random = np.random.default_rng(2)
        self.answer, self.late_ms = answer, late_ms
        self.to_phone: deque[bytes] = deque([SILENCE] * way)
        self.to_box: deque[bytes] = deque([SILENCE] * way)
        self.line: list[bytes] = []
        self.far_end: list[bytes] = []
        self.frames = 0
        self.steps: list[tuple[Step, int]] = []

    # what WaitingCaller asks of the voice and of the loop

    def play_tone(self, name: str) -> None:
        self.voice.play_tone(name)

    def play_nothing(self) -> None:
        self.voice.play_nothing()

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        self.voice.interrupt(pcm, wait_ms)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        self.timers.append(_Timer(when, lambda: callback(*args)))
        return self.timers[-1]

    def _shown(self, caller: ev.Caller) -> OffHookId | None:
        made = waiting_sound.samples(self.home, caller.number, caller.name, AT, None)
        return None if made is None else OffHookId(*made)

    def _digit(self, digit: str) -> None:
        def hear() -> None:
            if not self.box.digit(digit):
                self.sent_digits.append(digit)

        self.told.append(hear)

    def _ended(self) -> None:
        assert self.box.ended()

    # time

    def run(self, seconds: float, *, near: bool = True, far: bool = True) -> None:
        for _ in range(round(seconds * 100)):
            self._tick(near=near, far=far)

    def _tick(self, *, near: bool, far: bool) -> None:
        t = (np.arange(80) + 80 * self.frames) / 8000
        if near:
            self.set.put(signals.peak(-20) * np.sin(2 * np.pi * 600 * t))
        voice = signals.pcm(signals.peak(-20) * np.sin(2 * np.pi * 1000 * t)) if far else SILENCE
        self.to_box.append(self.set.speak(self.now, connected=True))
        self.far_end.append(self.voice.from_line(self.to_box.popleft()))
        self.to_phone.append(self.voice.to_line(voice))
        heard = self.to_phone.popleft()
        self.line.append(heard)
        self._hear(heard, self.set.hear(heard, self.now))
        self.frames += 1
        self.now += 0.01
        while self.told:  # the control loop, a frame later
            self.told.popleft()()
        for timer in [timer for timer in self.timers if timer.when <= self.now]:
            self.timers.remove(timer)
            timer.call()

    def _hear(self, frame: bytes, samples: Samples) -> None:
        step = self.second.hear(frame, samples, self.now) if self.second is not None else None
        if step is Step.ANSWER:
            digit = keyed(self.answer, ANSWER_KEYING, self.random)[0]
            self.set.mute_but(self.set.put(np.concatenate([np.zeros(8 * self.late_ms), digit])))
        elif step is not None:
            self.set.open()
        if step is not None:
            self.steps.append((step, self.frames))

    # what was heard

    def heard(self) -> Samples:
        return signals.samples(b"".join(self.line))

    def sent(self) -> Samples:
        return signals.samples(b"".join(self.far_end))


def share(x: Samples, *hertz: float) -> Samples:
    """Amplitude of each frequency (rows) in every 10 ms of `x`, by least squares: phase does not matter."""
    t = np.arange(80) / 8000
    waves = np.vstack([f(2 * np.pi * hz * t) for hz in hertz for f in (np.cos, np.sin)]).T
    parts = np.linalg.pinv(waves) @ x[: len(x) // 80 * 80].reshape(-1, 80).T
    return np.asarray(np.hypot(parts[0::2], parts[1::2]))


def spans(loud: Any) -> list[tuple[int, int]]:
    """(first, length) of the runs, in frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def cas_spans(line: Line) -> list[tuple[int, int]]:
    both = share(line.heard(), 2130, 2750) > signals.peak(-25)
    return [span for span in spans(both.all(axis=0)) if span[1] >= 5]


def test_the_telephone_shows_who_waits_and_the_talk_goes_on() -> None:
    line = Line()
    line.run(2.0)
    line.box.begin(CALLER)
    line.run(3.0)
    assert [step for step, _ in line.steps] == [Step.ANSWER, Step.SHOWN]
    assert line.second is not None
    assert line.second.caller is not None
    assert (line.second.caller.number, line.second.caller.name) == ("0612345678", "Zoe Durand")
    assert line.second.caller.time == "11-24T18:30"
    assert line.sent_digits == []
    # Both voices are back, at their level.
    assert signals.level(line.heard()[-4000:]) == pytest.approx(-20, abs=0.5)
    assert signals.level(line.sent()[-4000:]) == pytest.approx(-20, abs=0.7)


@pytest.mark.parametrize("code", COUNTRIES)
def test_every_country_s_tone_and_cas_are_in_time_and_in_tune(code: str) -> None:
    line = Line(code)
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(3.5)
    assert [step for step, _ in line.steps] == [Step.ANSWER, Step.SHOWN]
    heard = line.heard()
    [(start, length)] = cas_spans(line)
    assert length in {7, 8, 9}
    # The tone ends within 50 ms before the CAS (GR-30).
    tone_hz = max(line.home.tones["call-waiting"].hertz())
    tone = spans(share(heard, tone_hz)[0] > signals.peak(-25))
    ends = [first + count for first, count in tone if first + count <= start]
    assert 1 <= start - ends[-1] <= 5
    cas = heard[80 * start : 80 * (start + 8)]
    # 80 ms resolve 12 Hz: a frequency is the one whose sine leaves least behind.
    for hertz in (2130, 2750):
        near = np.arange(hertz - 40, hertz + 41, 1.0)
        best = near[
            int(np.argmax([abs(np.sum(cas * np.exp(-2j * np.pi * hz * np.arange(cas.size) / 8000))) for hz in near]))
        ]
        assert best == pytest.approx(hertz, abs=12)


def test_no_sound_of_it_reaches_the_far_end() -> None:
    line = Line(loss_db=8.0)
    line.run(3.0)
    began = 80 * line.frames
    line.box.begin(CALLER)
    line.run(1.5)
    # From two frames after the tone's beginning (what was said before is on its way) to the message's end.
    cut = line.sent()[began + 80 * 3 : 80 * line.steps[-1][1]]
    assert cut.size > 80 * 70
    assert not cut.any()


def test_the_answer_is_60_ms_of_d_and_the_message_follows_within_500() -> None:
    line = Line()
    line.run(1.0)
    keys: list[bytes] = []
    speak = line.set.speak

    def noting(at: float, *, connected: bool) -> bytes:
        keys.append(speak(at, connected=connected))
        return keys[-1]

    line.set.speak = noting  # type: ignore[method-assign]
    line.box.begin(CALLER)
    line.run(2.0)
    d = share(signals.samples(b"".join(keys)), 941, 1633)
    [(answer, length)] = [span for span in spans((d > signals.peak(-16)).all(axis=0)) if span[1] >= 4]
    assert length == 6
    answer += 100
    [(start, ms)] = cas_spans(line)
    assert 0 <= answer - (start + ms) <= 10  # GR-30: within 100 ms of the CAS
    mark = spans(share(line.heard(), 1300)[0] > signals.peak(-20))
    first = next(begin for begin, count in mark if count >= 4 and begin > answer)
    assert 5 <= first - (answer + length) <= 50  # GR-30: 50 to 500 ms after the answer


@pytest.mark.parametrize("way", [1, 3])
@pytest.mark.parametrize("loss_db", [None, 20.0, 10.0, 6.0])
@pytest.mark.parametrize("answer", ["D", "A"])
def test_telephones_that_take_their_time_are_waited_for(answer: str, loss_db: float | None, way: int) -> None:
    for late_ms in (0, 40, 90, 130):  # from the first frame after the CAS
        line = Line(way=way, loss_db=loss_db, answer=answer, late_ms=late_ms)
        line.run(1.0)
        line.box.begin(CALLER)
        line.run(3.0)
        assert [step for step, _ in line.steps] == [Step.ANSWER, Step.SHOWN], late_ms
        assert line.sent_digits == []


def test_an_answer_that_comes_too_late_is_not_one_and_is_nobody_s_digit() -> None:
    line = Line(late_ms=260)
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(3.0)
    assert [step for step, _ in line.steps] == [Step.ANSWER, Step.GIVEN_UP]
    assert line.sent_digits == []


@pytest.mark.parametrize("way", [1, 4])
def test_without_a_display_the_voice_is_back_soon_and_no_second_cas_comes(way: int) -> None:
    line = Line(shows=False, way=way)
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(25.0)
    [(start, length)] = cas_spans(line)
    back = next(f for f in range(start + length, start + 100) if share(line.heard(), 1000)[0][f] > signals.peak(-21))
    assert 160 <= 10 * (back - start - length) <= 240
    # The tone comes back by the cadence: every 10.3 s from its first beginning.
    beeps = [span for span in spans(share(line.heard(), 440)[0] > signals.peak(-20)) if span[1] >= 20]
    assert [round((first - beeps[0][0]) / 100, 1) for first, _ in beeps] == [0.0, 10.3, 20.6]
    assert all(abs(count - 30) <= 1 for _, count in beeps)


def test_without_caller_id_there_is_no_cas_at_all() -> None:
    line = Line(caller_id=False)
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(12.0)
    assert cas_spans(line) == []
    assert line.steps == []
    # Nobody is cut off: the far end hears the handset under the tone (but where the canceller turns to a new sound).
    assert np.mean(share(line.sent(), 600)[0][100:-5] > signals.peak(-22)) > 0.98


@pytest.mark.parametrize("after_ms", [0, 100, 330, 400, 450, 480, 520, 600, 800, 1200])
def test_a_caller_who_gives_up_at_any_moment_leaves_both_voices_and_no_digit(after_ms: int) -> None:
    line = Line()
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(after_ms / 1000)
    line.box.end()
    line.run(4.0)  # a telephone whose message broke off opens again when none can come any more
    assert line.sent_digits == []
    assert signals.level(line.heard()[-4000:]) == pytest.approx(-20, abs=0.5)
    assert signals.level(line.sent()[-4000:]) == pytest.approx(-20, abs=0.7)


def test_keys_pressed_after_it_are_digits_again_and_muted_in_band() -> None:
    line = Line()
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(3.0)
    line.set.put(signals.digit("5", 80))
    before = line.frames
    line.run(0.5, near=False)
    assert line.sent_digits == ["5"]
    assert signals.level(line.sent()[80 * (before + 6) : 80 * (before + 9)]) < -40


def test_a_far_end_s_own_digit_d_is_no_answer() -> None:
    line = Line(shows=False, loss_db=8.0)
    line.run(1.0)
    line.box.begin(CALLER)
    line.run(0.45, far=False)
    for frame in signals.frames(signals.pcm(signals.digit("D", 100))):
        line.to_box.append(line.set.speak(line.now, connected=True))
        line.far_end.append(line.voice.from_line(line.to_box.popleft()))
        line.to_phone.append(line.voice.to_line(frame))
        line.set.hear(line.to_phone.popleft(), line.now)
        line.now += 0.01
    assert not line.told
