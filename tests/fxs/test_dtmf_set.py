"""The short form of `make bench`'s DTMF set: every row's pass line, and never worse than libspandsp alone."""

from __future__ import annotations

from functools import partial

import pytest

from tests.bench import dtmf_set
from tests.bench.dtmf_set import DIAL_TONES, LIMITS, Sent, astray
from tests.bench.dtmf_signals import burst, joined, ours, plain
from tests.fakes.signals import KEYS


def test_2_decode() -> None:
    assert dtmf_set.decoded(ours) == 160


def test_3_every_tone_is_heard_to_2_percent_and_refused_beyond_3_on_both_sides() -> None:
    for band in dtmf_set.bands(ours):
        assert band.in_line, band
        assert 20 <= band.up <= 30, band
        assert 20 <= band.down <= 30, band


def test_4_twist_is_wider_than_libspandsp_s() -> None:
    (normal, reverse), (their_normal, their_reverse) = dtmf_set.twist(ours), dtmf_set.twist(plain)
    assert 8 <= their_normal + 0.5 <= normal + 0.5 <= 11
    assert 4 <= their_reverse + 0.5 <= reverse + 0.5 <= 8


def test_5_range() -> None:
    assert dtmf_set.levels(ours) >= max(35, dtmf_set.levels(plain))


def test_6_the_shortest_tone_is_between_23_and_40_ms() -> None:
    assert 25 < dtmf_set.shortest_ms(ours) < 38


@pytest.mark.parametrize("ratio_db", [9, 8, 7])
def test_7_noise(ratio_db: float) -> None:
    assert dtmf_set.noisy(ours, ratio_db, 200) == 200


def test_d_digits_far_below_a_dial_tone() -> None:
    assert dtmf_set.over_dial_tone_db(ours) >= dtmf_set.over_dial_tone_db(partial(plain, dial_tone_filter=True))


@pytest.mark.parametrize("name", DIAL_TONES)
def test_d_digits_of_34_dbm0_over_the_country_s_dial_tone(name: str) -> None:
    keys = KEYS * 5
    faint = joined(burst(key, low=-34, high=-34) for key in keys)
    assert ours(dtmf_set.over(faint, DIAL_TONES[name])) == keys


def test_c_reported_times_and_levels() -> None:
    times = dtmf_set.our_times()
    assert times.digits == 80
    assert times.on_ms == pytest.approx((50, 50), abs=2)
    assert times.off_ms == pytest.approx((50, 50), abs=2)
    assert times.level_db < 0.2


@pytest.mark.parametrize("sent", [sent for sent in LIMITS if sent.required], ids=lambda sent: sent.name)
def test_r_the_limits_of_q_24(sent: Sent) -> None:
    assert astray(sent, ours, 150) == 0


def test_the_set_tells_ears_apart() -> None:
    def deaf(_pcm: bytes) -> str:
        return ""

    def babbling(pcm: bytes) -> str:
        return "5" * (len(pcm) // 800)

    for sent in LIMITS:
        assert astray(sent, deaf if sent.wanted else babbling, 50) >= 50, sent
    assert dtmf_set.decoded(deaf) == dtmf_set.decoded(babbling) == 0
    assert not any(band.in_line for band in dtmf_set.bands(deaf))
    one_lost = Sent("one lost", wanted=True)
    assert astray(one_lost, lambda pcm: ours(pcm)[1:], 50) == 1
