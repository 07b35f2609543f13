from __future__ import annotations

from array import array
from datetime import UTC, datetime

import pytest

from firmware.exchange import speakingclock
from firmware.exchange.speech import SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("17:12:30", "dix-sept heures, douze minutes, trente secondes."),
        ("01:01:01", "une heure, une minute, une seconde."),
        ("21:41:51", "vingt et une heures, quarante et une minutes, cinquante et une secondes."),
        ("00:00:00", "zéro heure, zéro minute, zéro seconde."),
        ("23:59:58", "vingt-trois heures, cinquante-neuf minutes, cinquante-huit secondes."),
    ],
)
def test_the_time_is_told_in_french_words(moment: str, told: str) -> None:
    at = datetime.fromisoformat(f"2026-01-01T{moment}").replace(tzinfo=UTC)
    assert speakingclock.sentence(at) == f"Au quatrième top, il sera exactement : {told}"


@pytest.mark.parametrize("count", [-1, 60])
def test_what_no_clock_shows_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="0 to 59"):
        speakingclock.feminine(count)


def test_the_first_announcement_tells_the_next_second_that_leaves_time_to_speak() -> None:
    assert speakingclock.next_moment(1000.4, first=True) == 1011.0


def test_later_announcements_tell_every_tenth_second() -> None:
    moment = speakingclock.next_moment(1011.3, first=False)
    assert moment == 1030.0
    for _ in range(20):
        following = speakingclock.next_moment(moment + 0.3, first=False)
        assert following == moment + 10
        moment = following


def test_four_tops_follow_the_sentence_and_the_last_begins_at_the_moment_told() -> None:
    said = array("h", [100] * SAMPLE_RATE_HZ).tobytes()
    samples = array("h", speakingclock.announcement(said, 10.0))
    assert set(samples[:SAMPLE_RATE_HZ]) == {100}
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 1000]
    starts = [index for index, before in zip(loud, [-SAMPLE_RATE_HZ, *loud], strict=False) if index - before > 400]
    assert [round(start / SAMPLE_RATE_HZ, 2) for start in starts] == [7.0, 8.0, 9.0, 10.0]
    assert (loud[-1] - starts[-1]) / SAMPLE_RATE_HZ == pytest.approx(0.08, abs=0.01)


def test_a_sentence_that_is_too_long_never_covers_the_tops() -> None:
    said = array("h", [100] * SAMPLE_RATE_HZ * 20).tobytes()
    samples = array("h", speakingclock.announcement(said, 9.5))
    assert 100 not in samples[int(6.5 * SAMPLE_RATE_HZ) + SAMPLE_RATE_HZ // 5 : int(7.5 * SAMPLE_RATE_HZ)]
    assert len(samples) < 10 * SAMPLE_RATE_HZ


def test_an_announcement_that_comes_late_still_ends_at_its_moment() -> None:
    samples = array("h", speakingclock.announcement(b"", 1.5))
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 1000]
    assert loud[0] / SAMPLE_RATE_HZ == pytest.approx(0.5, abs=0.01)
    assert loud[-1] / SAMPLE_RATE_HZ == pytest.approx(1.58, abs=0.01)
