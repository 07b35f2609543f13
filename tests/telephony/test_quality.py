"""The E-model against the figures that ITU-T prints, and what a stream's counters become."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony import quality
from firmware.telephony.quality_meter import MOST_POINTS, Meter, NetworkQuality, Point, StreamReading
from firmware.telephony.quality_record import CallQuality, Gauge, LineCounters

G711 = quality.Impairment(0.0, 25.1)
CALM = StreamReading(codec="PCMA/8000", packet_ms=20.0, sent=5000, received=5000, buffer_ms=20.0, round_trip_ms=30.0)


def test_everything_at_its_default_is_the_93_of_g107() -> None:
    assert quality.r_factor(G711, 0, 0) == pytest.approx(93.2, abs=0.05)
    assert quality.mos(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("r", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_opinions_are_those_of_g109s_table(r: float, mos: float) -> None:
    assert quality.mos(r) == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize("delay", [50, 100, 150, 177, 200, 250, 300])
def test_delay_costs_what_the_well_known_straight_lines_say(delay: float) -> None:
    """Cole and Rosenbluth's fit to G.107 (2001): 0.024 d, and 0.11 more a ms from 177.3 ms on."""
    lines = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    assert quality.delay_impairment(delay) == pytest.approx(lines, abs=1.5)


def test_delay_vectors_of_the_arithmetic() -> None:
    for delay, r in ((20, 92.531), (100, 90.664), (150, 89.539), (200, 85.804), (400, 62.246)):
        assert quality.r_factor(G711, delay, 0) == pytest.approx(r, abs=0.001)


@pytest.mark.parametrize(
    ("codec", "loss", "ie"),
    [
        ("G729/8000", 0, 11), ("G729/8000", 1, 15), ("G729/8000", 2, 19), ("G729/8000", 4, 26), ("G729/8000", 16, 49),
        ("G723/8000", 0, 15), ("G723/8000", 2, 24), ("G723/8000", 8, 41),
        ("PCMA/8000", 0, 0), ("PCMU/8000", 2, 7), ("G722/16000", 3, 10), ("PCMA/8000", 5, 15), ("PCMA/8000", 10, 25),
    ],
)  # fmt: skip
def test_loss_costs_what_g113_measured(codec: str, loss: float, ie: float) -> None:
    found = quality.impairment(codec)
    assert found is not None
    assert quality.loss_impairment(found, loss) == pytest.approx(ie, abs=2.2)


def test_a_codec_that_g113_does_not_know_is_not_judged() -> None:
    assert quality.impairment("opus/48000") is None
    figures = CallQuality(NetworkQuality(replace(CALM, codec="opus/48000"))).figures()
    assert (figures["word"], figures["mos"], figures["r_factor"]) == (None, None, None)
    assert figures["received"] == 5000


@given(st.floats(-1e3, 1e5), st.floats(-10, 200))
def test_more_delay_or_loss_never_makes_it_better(delay: float, loss: float) -> None:
    r = quality.r_factor(G711, delay, loss)
    assert 0 <= r <= 93.21
    assert 1.0 <= quality.mos(r) <= 4.5
    assert quality.r_factor(G711, delay + 10, loss) <= r + 1e-9
    assert quality.r_factor(G711, delay, loss + 1) <= r + 1e-9


def test_the_words() -> None:
    assert [quality.word(r) for r in (93, 80, 79.9, 70, 69.9, 0)] == [
        "excellent", "excellent", "good", "good", "poor", "poor",
    ]  # fmt: skip


def test_a_call_on_a_quiet_network_is_excellent_and_one_that_lost_a_tenth_is_poor() -> None:
    calm = CallQuality(NetworkQuality(CALM)).figures()
    assert (calm["word"], calm["delay_ms"], calm["round_trip_ms"]) == ("excellent", 75.0, 30.0)
    bad = CallQuality(NetworkQuality(replace(CALM, received=4500, lost_here=500))).figures()
    assert (bad["word"], bad["lost_received_percent"]) == ("poor", 10.0)


def test_the_worse_direction_decides() -> None:
    there = CallQuality(NetworkQuality(replace(CALM, lost_there=500)))
    here = CallQuality(NetworkQuality(replace(CALM, received=4500, lost_here=500)))
    assert there.r_factor == here.r_factor


def test_late_frames_count_as_lost_and_no_packet_at_all_as_silence() -> None:
    late = replace(CALM, discarded=250)
    assert late.loss_here_percent == 5.0
    deaf = CallQuality(NetworkQuality(replace(CALM, received=0))).figures()
    assert (deaf["word"], deaf["lost_received_percent"]) == ("poor", 100.0)


def test_streams_of_one_call_add_up_over_a_hold() -> None:
    meter = Meter()
    meter.look(replace(CALM, sent=1000, received=1000, jitter_ms=2.0, jitter_max_ms=9.0, lost_here=10))
    meter.seal()
    meter.look(replace(CALM, sent=3000, received=3000, jitter_ms=6.0, jitter_max_ms=7.0, round_trip_ms=None))
    found = meter.quality()
    assert found is not None
    total = found.total
    assert (total.sent, total.received, total.lost_here) == (4000, 4000, 10)
    assert (total.jitter_ms, total.jitter_max_ms, total.round_trip_ms) == (5.0, 9.0, 30.0)


def test_a_meter_without_a_look_knows_nothing() -> None:
    meter = Meter()
    assert meter.quality() is None
    meter.seal()
    assert meter.quality() is None


def test_each_point_tells_the_loss_since_the_one_before() -> None:
    meter = Meter()
    for received, lost, late in ((250, 0, 0), (490, 10, 0), (735, 10, 5), (985, 9, 5)):
        meter.look(replace(CALM, received=received, lost_here=lost, discarded=late, buffer_now_ms=40.0))
    found = meter.quality()
    assert found is not None
    assert [point.loss_percent for point in found.points] == pytest.approx([0, 4.0, 100 * 5 / 245, 0])
    assert {point.delay_ms for point in found.points} == {80.0}


@pytest.mark.parametrize("looks", [0, 1, 119, 120, 121, 240, 241, 1000, 17_280])
def test_a_call_of_any_length_keeps_a_bounded_plot_of_all_of_it(looks: int) -> None:
    meter = Meter()
    for n in range(looks):
        meter.look(replace(CALM, received=250 * (n + 1), buffer_now_ms=float(n)))
    found = meter.quality()
    points = found.points if found is not None else ()
    assert len(points) <= MOST_POINTS
    assert len(points) >= min(looks, MOST_POINTS // 2)
    if found is not None:
        covered = len(points) * found.point_seconds
        assert covered == pytest.approx(looks * 5.0, abs=found.point_seconds)
        delays = [point.delay_ms for point in points]
        assert delays == sorted(delays)
        assert delays[-1] == pytest.approx(40 + looks, abs=2 * found.point_seconds / 5.0)


def test_the_record_stays_small_whatever_the_counters_say() -> None:
    wild = StreamReading(
        codec="x" * 400, packet_ms=1e12, sent=2**60, received=2**60, lost_here=2**60, lost_there=2**61, discarded=-5,
        jitter_ms=1e15, jitter_max_ms=1e15, buffer_ms=1e15, buffer_max_ms=1e15, round_trip_ms=1e15,
    )  # fmt: skip
    points = tuple(Point(1e12, 99.999) for _ in range(MOST_POINTS))
    found = CallQuality(NetworkQuality(wild, 3600.0, points), LineCounters(-1e6, 2**60, 2**60, 2**60))
    assert len(json.dumps(found.figures())) < 1000
    assert len(json.dumps(found.plot(), separators=(",", ":"))) < 1500


def test_a_lines_counters_tell_of_this_call_only() -> None:
    gauge = Gauge()
    gauge.begin(LineCounters(None, gaps=5, drops=2, xruns=7))
    gauge.network = NetworkQuality(CALM)
    gauge.end(LineCounters(12.34, gaps=8, drops=2, xruns=3))  # the device was opened anew: its counter too
    found = gauge.quality
    assert found is not None
    figures = found.figures()
    assert [figures[key] for key in ("drift_ppm", "gaps", "drops", "xruns")] == [12.3, 3, 0, 3]


def test_a_call_never_answered_has_no_measure() -> None:
    gauge = Gauge(network=NetworkQuality(CALM))
    gauge.end(LineCounters())
    assert gauge.quality is None
