"""The ALSA device for real, in user space: PulseAudio's null sink, and ALSA's own `null`. No sound card here."""

from __future__ import annotations

import array
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import alsaaudio
import numpy as np
import pytest

from firmware import config
from firmware.fxs import country
from firmware.fxs.elastic import Elastic
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, WIDE_FRAME_BYTES, WIDE_RATE_HZ
from firmware.fxs.pcm import alsa as module
from firmware.fxs.pcm.alsa import AlsaPcm
from firmware.fxs.pcm.alsa_card import Card
from firmware.fxs.pcm.alsa_wait import Opening
from firmware.fxs.voice import LineVoice
from firmware.telephony.bridgeclock import BridgeClock
from firmware.telephony.media import VoicePath
from tests.system.peer_pulse import PulseNullSink

PATIENCE = 20.0
TONE_HZ = 440


def tone(frame: int) -> bytes:
    first = frame * FRAME_SAMPLES
    turn = 2 * math.pi * TONE_HZ / SAMPLE_RATE_HZ
    return array.array("h", [int(10_000 * math.sin(turn * (first + n))) for n in range(FRAME_SAMPLES)]).tobytes()


def pitch(samples: bytes) -> float:
    heard = np.frombuffer(samples, dtype=np.int16).astype(float)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(heard))


def first_frame(pcm: AlsaPcm) -> bytes:
    """Poll until the device gives: a null sink's first samples take two seconds."""
    deadline = time.monotonic() + PATIENCE
    while (frame := pcm.read(0.2)) is None:
        assert time.monotonic() < deadline, f"no frame came: {pcm.fault}"
    return frame


@pytest.fixture
def sink() -> Iterator[PulseNullSink]:
    with PulseNullSink() as card:
        card.adopt()
        yield card


@pytest.fixture
def pcm(sink: PulseNullSink) -> Iterator[AlsaPcm]:
    assert sink.socket.exists()
    made = AlsaPcm("pulse", "pulse", 3)
    yield made
    made.stop()


@pytest.mark.system
def test_a_tone_played_is_captured_and_every_frame_is_counted(pcm: AlsaPcm) -> None:
    pcm.start()
    first_frame(pcm)
    heard = bytearray()
    written = 0
    deadline = time.monotonic() + PATIENCE
    while len(heard) < 2 * SAMPLE_RATE_HZ:  # one second of what is not silence
        assert time.monotonic() < deadline, f"the tone was not heard: {pcm.stats}, {pcm.fault}"
        frame = pcm.read(0.2)
        if frame is None:
            continue
        assert len(frame) == FRAME_BYTES
        if heard or max(array.array("h", frame)) > 5_000:
            heard += frame
        pcm.write(tone(written))
        written += 1
    assert pitch(bytes(heard)) == pytest.approx(TONE_HZ, abs=2)
    stats = pcm.stats
    assert stats.frames_read >= len(heard) // FRAME_BYTES
    assert stats.frames_written + stats.xruns >= written
    assert stats.frames_written >= written * 0.9
    assert (stats.reopened, pcm.fault) == (0, None)


@pytest.mark.system
def test_a_wide_line_has_frames_of_sixteen_kilohertz(sink: PulseNullSink) -> None:
    assert sink.socket.exists()
    wide = AlsaPcm("pulse", "pulse", 3, rate_hz=WIDE_RATE_HZ)
    wide.start()
    try:
        heard = bytearray()
        written = 0
        deadline = time.monotonic() + PATIENCE
        while len(heard) < WIDE_RATE_HZ:  # half a second
            assert time.monotonic() < deadline, f"the tone was not heard: {wide.stats}, {wide.fault}"
            frame = wide.read(0.2)
            if frame is None:
                continue
            assert len(frame) == WIDE_FRAME_BYTES
            if heard or max(array.array("h", frame)) > 5_000:
                heard += frame
            wide.write(tone(2 * written) + tone(2 * written + 1))
            written += 1
        assert 2 * pitch(bytes(heard)) == pytest.approx(2 * TONE_HZ, abs=8), "twice as high at twice the rate"
        assert (wide.stats.reopened, wide.fault) == (0, None)
    finally:
        wide.stop()


@pytest.mark.system
def test_starting_and_stopping_may_be_repeated_and_nothing_old_is_heard(pcm: AlsaPcm) -> None:
    pcm.stop()
    for _ in range(2):
        pcm.start()
        pcm.start()
        first_frame(pcm)
        assert pcm.stats.frames_read == 1  # counted from this start
        pcm.stop()
        pcm.stop()
        assert pcm.read(5.0) is None


@pytest.mark.system
def test_stop_wakes_a_reader_at_once(pcm: AlsaPcm) -> None:
    pcm.start()
    first_frame(pcm)
    got: list[bytes | None] = []

    def read_on() -> None:
        while (frame := pcm.read(60.0)) is not None:
            got.append(frame)
        got.append(None)

    reader = threading.Thread(target=read_on)
    reader.start()
    while not got:
        time.sleep(0.01)
    pcm.stop()
    reader.join(PATIENCE)
    assert got[-1] is None


@pytest.mark.system
def test_a_reader_that_slept_costs_an_xrun_and_the_sound_goes_on(pcm: AlsaPcm) -> None:
    pcm.start()
    for n in range(100):
        assert first_frame(pcm)
        pcm.write(tone(n))
    before = pcm.stats.xruns
    time.sleep(1.5)
    assert pcm.read(1.0) is not None
    assert pcm.stats.xruns > before
    began, read = time.monotonic(), pcm.stats.frames_read
    for _ in range(100):
        first_frame(pcm)
        pcm.write(SILENCE)
    # Had the 1.5 s of old sound been kept, these frames would have come at once, and all later ones late.
    assert time.monotonic() - began > 0.5
    assert pcm.stats.frames_read == read + 100
    written = pcm.stats.frames_written
    for _ in range(50):
        first_frame(pcm)
        pcm.write(SILENCE)
    assert pcm.stats.frames_written > written
    assert pcm.fault is None


@pytest.mark.system
def test_a_sound_server_that_dies_in_a_call_leaves_paced_silence_and_is_opened_again_when_it_is_back(
    pcm: AlsaPcm, sink: PulseNullSink, caplog: pytest.LogCaptureFixture
) -> None:
    pcm.start()
    first_frame(pcm)
    sink.kill()
    deadline = time.monotonic() + PATIENCE
    while pcm.fault is None:
        assert time.monotonic() < deadline
        began = time.monotonic()
        pcm.read(0.2)
        assert time.monotonic() - began < PATIENCE / 4  # None within its time, give or take a busy machine
        pcm.write(SILENCE)
    began = time.monotonic()
    for _ in range(100):
        assert pcm.read(0.2) == SILENCE
        pcm.write(SILENCE)  # harmless meanwhile
    assert time.monotonic() - began > 0.9, "the timer's clock is the card's, never faster"
    with PulseNullSink() as other:
        other.adopt()
        came_back = time.monotonic()
        while pcm.fault is not None:
            assert time.monotonic() - came_back < PATIENCE
            pcm.read(0.2)
            pcm.write(SILENCE)
        print(f"sound again {time.monotonic() - came_back:.1f} s after the server came back")
        read = pcm.stats.frames_read
        first_frame(pcm)
        assert pcm.stats.frames_read == read + 1
        assert pcm.stats.reopened >= 1
        assert pcm.stats.silent >= 100
        pcm.stop()
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1, "a fault is told once, not at every try"


@dataclass
class TickedBridge:
    """A conference bridge with a call on its only line; it counts its ticks."""

    joined: bool = True
    ticks: int = 0

    def register_thread(self) -> None:
        """No stack, no threads."""

    def line(self, _line: int) -> TickedBridge:
        return self

    def tick(self) -> None:
        self.ticks += 1

    def put(self, frame: bytes) -> None:
        assert len(frame) == FRAME_BYTES

    def get(self) -> bytes:
        return tone(self.ticks)


@pytest.mark.system
def test_a_call_outlives_its_sound_server_and_the_bridge_is_ticked_all_the_while(
    pcm: AlsaPcm, sink: PulseNullSink
) -> None:
    def until(what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, f"{pcm.fault}, {pcm.stats}, {path.stats}"
            time.sleep(0.05)

    bridge = TickedBridge()
    clock = BridgeClock(Elastic)
    clock.set_bridge(bridge)
    voice = LineVoice(country.load("FR"), on_digit=lambda _: None, on_speech_end=lambda: None)
    path = VoicePath(pcm, voice, clock.end(1), name="test")
    try:
        path.open()
        until(lambda: pcm.stats.frames_written > 50)
        sink.kill()
        until(lambda: pcm.fault is not None)
        began, ticks = time.monotonic(), bridge.ticks
        time.sleep(2)
        due = (time.monotonic() - began) * 100
        # Not one for each: a machine that is busy elsewhere holds the thread up, and nothing is made up for.
        assert due / 4 < bridge.ticks - ticks < due + 20, "a timer ticks in the card's place"
        with PulseNullSink() as other:
            other.adopt()
            until(lambda: pcm.fault is None)
            written = pcm.stats.frames_written
            until(lambda: pcm.stats.frames_written > written + 50)
            assert pcm.stats.reopened == 1
            assert path.stats.failed == 0
            path.close()
    finally:
        path.shutdown(5.0)


# --- without a sound server ----------------------------------------------------------------


def test_a_card_that_is_not_there_is_a_fault_in_words_and_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    pcm = AlsaPcm("hw:CARD=nosuchcard", "hw:CARD=nosuchcard", 3)
    pcm.start()
    deadline = time.monotonic() + PATIENCE
    while pcm.fault is None:
        assert time.monotonic() < deadline
        pcm.read(0.05)
    assert pcm.read(0.3) == SILENCE, "a timer keeps the line's clock"
    assert "capture" in pcm.fault
    assert "nosuchcard" in pcm.fault
    assert "allobox config set line.alsa.capture" in pcm.fault
    assert len(caplog.records) == 1
    pcm.stop()


def test_the_tries_to_open_a_missing_card_grow_apart_but_never_beyond_five_seconds() -> None:
    pcm = AlsaPcm("hw:CARD=nosuchcard", "null", 3, opening=Immediate)
    pcm.start()
    waits = []
    for _ in range(8):
        pcm._next_try = 0.0
        pcm.read(0.0)
        waits.append(pcm._next_try - time.monotonic())
    rounded = [round(wait, 2) for wait in waits]
    assert rounded == sorted(rounded)
    assert 0 < waits[0] < 0.5 < waits[-1] < 5
    pcm.stop()


def test_the_fault_of_the_playback_side_names_it() -> None:
    pcm = AlsaPcm("null", "hw:CARD=nosuchcard", 3, opening=Immediate)
    pcm.start()
    assert pcm.read(0.0) == SILENCE
    assert pcm.fault is not None
    assert "for playback" in pcm.fault
    pcm.stop()


def test_frames_are_whole_and_stop_closes_the_card() -> None:
    pcm = AlsaPcm("null", "null", 3)
    pcm.start()
    frame = pcm.read(1.0)
    assert frame is not None
    assert len(frame) == FRAME_BYTES  # of what? ALSA's null does not say
    pcm.write(SILENCE)
    pcm.write(SILENCE)
    assert (pcm.stats.frames_read, pcm.stats.frames_written) == (1, 2)
    assert pcm._card is not None
    pcm.stop()
    assert pcm._card is None
    pcm.write(SILENCE)
    assert pcm.stats.frames_written == 2
    assert pcm.read(1.0) is None


def test_a_reader_waiting_for_a_missing_card_is_woken_by_stop() -> None:
    pcm = AlsaPcm("hw:CARD=nosuchcard", "null", 3)
    pcm.start()
    done = threading.Event()

    def read() -> None:
        while pcm.read(60.0) is not None:
            pass
        done.set()

    threading.Thread(target=read, daemon=True).start()
    while pcm.fault is None:
        time.sleep(0.01)
    pcm.stop()
    assert done.wait(PATIENCE)


class Immediate(Opening[Card]):
    """Opens on the spot, without a thread."""

    def __init__(self, make: Callable[[], Card], _ended: Callable[[], None]) -> None:
        try:
            self._opened: Card | OSError = make()
        except OSError as error:
            self._opened = error

    def result(self) -> Card | OSError:
        return self._opened

    def abandon(self) -> None:
        raise AssertionError("nobody leaves it lying")


class ScriptedPcm:
    """A card whose answers the test writes: what a real one does only now and then."""

    def __init__(self, kind: int, rate: int = SAMPLE_RATE_HZ) -> None:
        self.kind = kind
        self.rate = rate
        self.answers: list[object] = []
        self.written: list[bytes] = []
        self.closed = False

    def info(self) -> dict[str, int]:
        return {"rate": self.rate, "channels": 1, "buffer_size": 640}

    def avail(self) -> int:
        if self.kind == alsaaudio.PCM_PLAYBACK:
            return 640 - 160
        counts = [answer[0] if isinstance(answer, tuple) else -1 for answer in self.answers]
        return -1 if min(counts, default=0) < 0 else sum(counts)

    def polldescriptors(self) -> list[tuple[int, int]]:
        return []

    def read(self) -> object:
        answer = self.answers.pop(0) if self.answers else (0, b"")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def write(self, samples: bytes) -> int:
        self.written.append(samples)
        answer = self.answers.pop(0) if self.answers else len(samples) // 2
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, int)
        return answer

    def drop(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


class Cards(list[ScriptedPcm]):
    """What `alsaaudio.PCM` made, oldest first."""

    rate = SAMPLE_RATE_HZ

    def __call__(self, kind: int, _mode: int, **_settings: object) -> ScriptedPcm:
        self.append(ScriptedPcm(kind, self.rate))
        return self[-1]


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Cards:
    made = Cards()
    monkeypatch.setattr(alsaaudio, "PCM", made)
    return made


def scripted(cards: Cards) -> tuple[AlsaPcm, ScriptedPcm, ScriptedPcm]:
    pcm = AlsaPcm("line", "line", 4, opening=Immediate)
    pcm.start()
    assert pcm.read(0.0) is None
    assert pcm.read(0.0) is None
    return pcm, cards[0], cards[1]


def sounding(cards: Cards) -> tuple[AlsaPcm, ScriptedPcm, ScriptedPcm]:
    """The same with its first frame heard: before it nothing is written."""
    pcm, capture, playback = scripted(cards)
    capture.answers = [(80, SILENCE)]
    assert pcm.read(0.1) == SILENCE
    return pcm, capture, playback


def test_playback_begins_with_silence_ahead_all_periods_but_one(cards: Cards) -> None:
    pcm, _, playback = scripted(cards)
    assert playback.written == [SILENCE * 3]
    assert pcm.delay_frames == 2, "one of the three is played while the first frame is captured"
    pcm.stop()
    assert playback.closed


def test_a_card_that_delivers_odd_pieces_is_read_in_whole_frames(cards: Cards) -> None:
    pcm, capture, _ = scripted(cards)
    sound = bytes(range(256)) * 2
    capture.answers = [(50, sound[:100]), (50, sound[100:200]), (100, sound[200:400])]
    assert pcm.read(0.1) == sound[:160]
    assert pcm.read(0.1) == sound[160:320]
    assert pcm.read(0.0) is None
    assert pcm.stats.frames_read == 2


def test_an_overrun_is_counted_and_reading_goes_on(cards: Cards) -> None:
    pcm, capture, _ = scripted(cards)
    capture.answers = [(40, b"x" * 80), (-32, b""), (0, b""), (80, SILENCE)]
    assert pcm.read(0.1) == SILENCE, "half a frame from before the overrun is no part of one after it"
    assert pcm.stats.xruns == 1


def test_what_a_card_gathered_while_nobody_read_is_dropped_but_for_the_newest(
    cards: Cards, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm, capture, _ = scripted(cards)
    monkeypatch.setattr(pcm, "_asked_at", time.monotonic() - 1)
    capture.answers = [(80, bytes([n]) * FRAME_BYTES) for n in range(10)]
    assert pcm.read(0.1) == bytes([9]) * FRAME_BYTES
    assert pcm.stats.xruns == 1


def test_an_underrun_is_counted_and_the_silence_ahead_made_again(cards: Cards) -> None:
    pcm, _, playback = sounding(cards)
    playback.answers = [-32]
    pcm.write(tone(1))
    assert playback.written[1:] == [tone(1), SILENCE * 2 + tone(1)]
    assert (pcm.stats.xruns, pcm.stats.frames_written) == (1, 1)


def test_a_full_card_loses_the_frame_and_counts_it_rather_than_blocking(cards: Cards) -> None:
    pcm, _, playback = sounding(cards)
    playback.answers = [0, 40]
    pcm.write(tone(1))
    pcm.write(tone(2))
    assert (pcm.stats.xruns, pcm.stats.frames_written) == (2, 0)


def test_a_card_that_fails_in_use_is_closed_and_opened_again(cards: Cards) -> None:
    pcm, capture, playback = scripted(cards)
    capture.answers = [alsaaudio.ALSAAudioError("No such device [line]")]
    assert pcm.read(0.0) is None
    assert capture.closed
    assert playback.closed
    assert pcm.fault == "the sound card is gone: No such device [line]"
    deadline = time.monotonic() + PATIENCE
    while len(cards) < 4:
        assert time.monotonic() < deadline
        pcm.read(0.05)
    cards[2].answers = [(80, SILENCE)]
    assert first_frame(pcm) == SILENCE
    assert pcm.stats.reopened == 1
    assert not pcm.fault


def test_a_card_that_fails_at_writing_is_closed_too(cards: Cards) -> None:
    pcm, capture, playback = sounding(cards)
    playback.answers = [alsaaudio.ALSAAudioError("Input/output error [line]")]
    pcm.write(SILENCE)
    assert capture.closed
    assert pcm.fault is not None


def test_a_card_that_stays_silent_for_ever_is_opened_anew(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STALL_SECONDS", 0.05)
    pcm, capture, _ = scripted(cards)
    deadline = time.monotonic() + PATIENCE
    while not capture.closed:
        assert time.monotonic() < deadline
        pcm.read(0.02)
    assert pcm.fault is not None
    assert "no samples" in pcm.fault


def test_a_card_that_cannot_do_8_khz_says_so_and_what_to_do(cards: Cards) -> None:
    cards.rate = 48_000
    pcm = AlsaPcm("hw:CARD=dongle", "hw:CARD=dongle", 3, opening=Immediate)
    pcm.start()
    assert pcm.read(0.0) == SILENCE
    assert pcm.fault is not None
    assert "48000 Hz" in pcm.fault
    assert "plughw:CARD=dongle" in pcm.fault
    assert cards[0].closed


@pytest.mark.parametrize("name", ["hw:0", "plughw:1,0", "hw:CARD=0"])
def test_a_card_by_number_is_refused_because_numbers_move(name: str) -> None:
    with pytest.raises(config.ConfigError, match="may change at any boot"):
        config.with_setting(config.Settings(), "line.alsa.capture", name)
    for good in ("default", "line", "plughw:CARD=wm8960soundcard", "pulse"):
        config.with_setting(config.Settings(), "line.alsa.capture", good)


def test_one_period_is_refused_and_none_means_as_few_as_hold() -> None:
    with pytest.raises(config.ConfigError, match="0 \\(as few as hold\\)"):
        config.with_setting(config.Settings(), "line.alsa.periods", "1")
    for good in ("0", "2", "16"):
        config.with_setting(config.Settings(), "line.alsa.periods", good)
