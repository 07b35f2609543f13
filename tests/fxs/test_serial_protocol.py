"""The words of the serial hat and its clock: what is written is read, what is not is passed over, time stays right."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.fxs.drivers import serial_protocol as words
from firmware.fxs.drivers.serial_clock import LATEST_SECONDS, HatClock
from firmware.fxs.drivers.serial_protocol import LineAssembler, Order, framed, parse
from tests.fakes.serial_hat import crc, sealed

WRAP = 1 << 32


# --- lines ----------------------------------------------------------------------------------


def test_the_sum_is_the_one_of_the_published_check() -> None:
    assert words.checksum(b"123456789") == b"31C3"  # CRC-16/XMODEM
    assert crc(b"123456789") == 0x31C3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "HELLO 7 1 hat-2.3 2 POLARITY,POWER,DTMF 1234",
            words.Hello(7, 1, "hat-2.3", 2, frozenset({"POLARITY", "POWER", "DTMF"}), 1234),
        ),
        ("HELLO 7 1 hat-2.3 1 - 0", words.Hello(7, 1, "hat-2.3", 1, frozenset(), 0)),
        ("OK 65535 4294967295", words.Done(65535, WRAP - 1)),
        ("NO 3 99 OFFHOOK", words.Refused(3, 99, "OFFHOOK")),
        ("STATE 9 5 1 CLOSED 0 NORMAL ON", words.State(9, 5, 1, closed=True, ring_hz=0.0, reverse=False, power=True)),
        (
            "STATE 9 5 2 OPEN 16.7 REVERSED OFF",
            words.State(9, 5, 2, closed=False, ring_hz=16.7, reverse=True, power=False),
        ),
        ("BOOT 12", words.Booted(12)),
        ("HOOK 1 2 1 CLOSED", words.Hook(1, 2, 1, closed=True)),
        ("HOOK 1 2 1 OPEN", words.Hook(1, 2, 1, closed=False)),
        ("TRIP 1 2 1", words.Trip(1, 2, 1)),
        ("QUIET 1 2 1 HEARTBEAT", words.Quiet(1, 2, 1, "HEARTBEAT")),
        ("DIGIT 1 2 1 0", words.Digit(1, 2, 1, "0")),
        ("DIGIT 1 2 1 S", words.Digit(1, 2, 1, "*")),
        ("DIGIT 1 2 1 #", words.Digit(1, 2, 1, "#")),
        ("FAULT 1 2 1 OVERHEAT", words.Fault(1, 2, 1, "OVERHEAT")),
        ("FAULT 1 2 1 CLEAR", words.Fault(1, 2, 1, "")),
    ],
)
def test_each_message_of_a_hat_is_read(body: str, message: words.Message) -> None:
    line = sealed(body)
    assert parse(line[:-1]) == message
    assert parse(line[:-1] + b"\r") == message, "a hat may end its lines as terminals do"


@pytest.mark.parametrize(
    "body",
    [
        *("HOOK 1 2 1", "HOOK 1 2 0 OPEN", "HOOK 1 2 9 OPEN", "HOOK 65536 2 1 OPEN", "HOOK 1 4294967296 1 OPEN"),
        *("HOOK 1 2 1 open", "HOOK 1 -2 1 OPEN", "HOOK 1 2 1 OPEN OPEN", "DIGIT 1 2 1 12", "DIGIT 1 2 1 E", "hook"),
        *("STATE 9 5 1 CLOSED 1000 NORMAL ON", "STATE 9 5 1 CLOSED nan NORMAL ON", "OK 1", "OK x 1", "PING 1"),
        *("HELLO 7 1 x 0 - 1", "HELLO 7 1 x 1 -", "HOOK  1 2 1 OPEN", "OK 1 2 "),
    ],
)
def test_what_no_hat_may_say_is_passed_over(body: str) -> None:
    assert parse(sealed(body)[:-1]) is None


def test_one_bit_more_or_less_is_no_message() -> None:
    line = sealed("HOOK 12 3456 1 CLOSED")[:-1]
    for index in range(len(line) * 8):
        spoilt = bytearray(line)
        spoilt[index // 8] ^= 1 << index % 8
        assert parse(bytes(spoilt)) is None


def test_orders_are_written_as_the_document_says_and_never_longer_than_a_line() -> None:
    assert words.order(Order.RING, 17, "1", words.hertz(25.0)) == sealed("RING 17 1 25")
    assert words.order(Order.RING, 18, "2", words.hertz(50 / 3)) == sealed("RING 18 2 16.7")
    assert words.order(Order.HELLO, 0, "1") == sealed("HELLO 0 1")
    for bad in ("x" * 120, "two  spaces", "a*b", "", " PING", "new\nline"):
        with pytest.raises(ValueError, match="no line of the hat's protocol"):
            framed(bad)


def test_the_longest_line_is_read_and_one_byte_more_is_not() -> None:
    longest = sealed("HELLO 7 1 " + "x" * 94 + " 1 - 12345")
    assert len(longest) == 120
    assembler = LineAssembler()
    (line,) = assembler.feed(longest)
    assert parse(line) is not None
    assert assembler.feed(b"x" + longest) == []
    assert assembler.skipped == 1
    assert len(assembler.feed(sealed("BOOT 1"))) == 1, "the next newline begins afresh"


@given(st.binary(max_size=2000))
def test_no_bytes_make_the_reader_raise_or_keep_more_than_a_line(data: bytes) -> None:
    assembler = LineAssembler()
    for line in assembler.feed(data):
        assert len(line) < words.MAX_LINE_BYTES
        parse(line)
    assert len(assembler._kept) < words.MAX_LINE_BYTES


_WORDS = [
    *("OK", "NO", "HOOK", "STATE", "HELLO", "TRIP", "QUIET", "DIGIT", "FAULT", "BOOT"),
    *("0", "1", "65535", "-1", "9e9", "CLOSED", "NORMAL", "ON", "²", "٣"),
]


@given(st.lists(st.sampled_from(_WORDS)))
def test_no_words_with_a_right_sum_make_the_reader_raise(said: list[str]) -> None:
    parse(sealed(" ".join(said))[:-1])


@given(st.binary(max_size=300), st.lists(st.integers(0, 60), max_size=20))
def test_lines_are_the_same_however_they_are_cut(noise: bytes, cuts: list[int]) -> None:
    stream = noise + b"\n" + sealed("BOOT 5") + noise[:50] + b"\n" + sealed("OK 1 2")
    whole = LineAssembler().feed(stream)
    pieces, assembler = [], LineAssembler()
    rest = stream
    for cut in cuts:
        pieces += assembler.feed(rest[:cut])
        rest = rest[cut:]
    pieces += assembler.feed(rest)
    assert pieces == whole
    assert [parse(line) for line in whole if parse(line)][-1] == words.Done(1, 2)


# --- the hat's clock ------------------------------------------------------------------------


class Wire:
    """A hat's counter as it is told over a wire that takes its time."""

    def __init__(self, seed: int, *, drift_ppm: float, start_ms: int, quick: float, slow: float) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._rate = 1 + drift_ppm / 1e6
        self._start_ms = start_ms
        self._quick, self._slow = quick, slow

    def ms(self, now: float) -> int:
        return (self._start_ms + int(now * self._rate * 1000)) % WRAP

    def delay(self) -> float:
        """Mostly quick, sometimes very slow, as USB under load."""
        return self._quick + (self._chance.expovariate(1 / self._slow) if self._chance.random() < 0.5 else 0.0)


@pytest.mark.parametrize("drift_ppm", [-4000, -100, 0, 100, 4000])
@pytest.mark.parametrize("start_ms", [0, WRAP - 30_000])
def test_events_have_their_own_time_however_late_and_wrapped_and_drifting(drift_ppm: float, start_ms: int) -> None:
    wire = Wire(1, drift_ppm=drift_ppm, start_ms=start_ms, quick=0.001, slow=0.050)
    clock, now = HatClock(), 0.0
    errors = []
    for step in range(1200):  # five minutes, over the counter's wrap
        sent = now
        there = sent + wire.delay()
        back = there + wire.delay()
        clock.exchanged(sent, wire.ms(there), back)
        happened = back + 0.05
        heard = happened + wire.delay()
        at = clock.host_time(wire.ms(happened), heard)
        assert at <= heard
        if step > 20:
            errors.append(abs(at - happened))
            assert abs(at - happened) <= clock.uncertainty + 0.001
        now = max(heard, now + 0.25)
    assert max(errors) < 0.010, "a rotary dial's pulse is 20 ms at the shortest"
    assert sum(errors) / len(errors) < 0.002


@pytest.mark.parametrize("slow", [0.1, 0.8, 1.9])
def test_a_hat_that_was_slow_to_answer_its_greeting_tears_no_bounce_into_a_pulse(slow: float) -> None:
    clock = HatClock()
    answered = 10.0 + slow
    clock.exchanged(10.0, 5_000, answered + 0.001)

    def stamped(at: float) -> int:
        return 5_000 + round((at - answered) * 1000)

    lifts = [clock.host_time(stamped(at), at + 0.001) for at in (answered + 0.010, answered + 0.015)]
    clock.exchanged(answered + 0.016, stamped(answered + 0.017), answered + 0.018)
    lifts.append(clock.host_time(stamped(answered + 0.030), answered + 0.031))
    assert lifts == pytest.approx([answered + 0.010, answered + 0.015, answered + 0.030], abs=0.006)


def test_slow_exchanges_after_a_quick_one_move_nothing() -> None:
    clock = HatClock(drift_ppm=0)
    clock.exchanged(10.0, 5_000, 10.001)
    before = clock.host_time(6_000, 11.5)
    for index in range(20):
        at = 12.0 + index
        clock.exchanged(at, 7_000 + 1000 * index, at + 0.9)
    assert clock.host_time(6_000, 12.5) == pytest.approx(before, abs=0.001)


def test_a_clock_that_was_set_unnoticed_is_believed_after_one_exchange() -> None:
    clock = HatClock()
    clock.exchanged(10.0, 5_000, 10.002)
    clock.exchanged(11.0, 900_000, 11.002)
    assert clock.host_time(900_100, 11.2) == pytest.approx(11.101, abs=0.003)


def test_a_stamp_that_cannot_be_is_the_time_of_its_arrival() -> None:
    clock = HatClock()
    assert clock.host_time(77, 3.0) == 3.0, "before any exchange nothing is known"
    clock.exchanged(10.0, 5_000, 10.002)
    assert clock.host_time(5_000, 10.1 + LATEST_SECONDS) == 10.1 + LATEST_SECONDS
    assert clock.host_time(50_000, 10.5) == 10.5, "nothing happens in the future"
    assert clock.host_time(5_400, 10.5) == pytest.approx(10.401, abs=0.012), "and neither has spoilt the clock"


def test_a_stamp_half_a_lap_away_does_not_turn_the_counter() -> None:
    clock = HatClock()
    clock.exchanged(10.0, 5_000, 10.002)
    clock.host_time((5_000 + (1 << 31) + 5) % WRAP, 10.1)
    assert clock.host_time(5_200, 10.3) == pytest.approx(10.201, abs=0.003)


def test_reading_a_line_costs_little() -> None:
    """A bound against quadratic surprises, not a figure: a flood of 24 kB/s is some 700 lines a second."""
    line = sealed("HOOK 12 3456 1 CLOSED")[:-1]
    began = time.perf_counter()
    for _ in range(5000):
        parse(line)
    assert time.perf_counter() - began < 5
