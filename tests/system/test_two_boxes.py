"""Two boxes in a call with each other, and a call while the page dies and every core is taken.

The long forms are rows of `make bench-voice`: "voice-clicks" (five minutes through each network), "voice-delay" and
"disturbed".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.box_pair import SETTLE_SECONDS, BoxPair, box_pair
from tests.bench.disturbed import disturbed_call
from tests.bench.voice_clicks import CALLEE_HZ, CALLER_HZ, NO_HYBRID, Heard, tone
from tests.fakes.udp_schedule import Network

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

# A jitter buffer that grew while the far end itself was starved gives back 10 ms at a time, in quiet stretches.
_FRAMES_MS = 40.0
TRIES = 3


@pytest.fixture(scope="module")
def pair() -> Iterator[BoxPair]:
    with box_pair(*NO_HYBRID) as both:
        yield both


def test_two_boxes_say_a_tone_to_each_other_and_neither_telephone_hears_it_break(pair: BoxPair, tmp_path: Path) -> None:
    seen = []
    said = tone(CALLER_HZ, SETTLE_SECONDS + 3), tone(CALLEE_HZ, SETTLE_SECONDS + 3)
    for seed in range(1, TRIES + 1):  # a shared machine stalls; the boxes' own faults come every time
        ears = pair.exchange(said, Network(), seed, tmp_path)
        heard = [Heard.of(ear, hz, ()) for ear, hz in zip(ears, (CALLEE_HZ, CALLER_HZ), strict=True)]
        assert [ear.row["end"] for ear in ears] == ["caller", "callee"], "who hung up first"
        if not any(one.clicks for one in heard):
            return
        seen.append([(one.clicks, one.ear.telephone, one.ear.row["quality"]) for one in heard])
    raise AssertionError(seen)


def test_a_call_outlives_page_and_hogs_and_is_no_later_afterwards(pair: BoxPair) -> None:
    seen = []
    for _ in range(TRIES):
        told = disturbed_call(pair.caller.box, pair.caller.peer, 2, cycle=2)
        assert told.lived
        assert told.cycles == 1
        assert told.during, "the voice came through all the while"
        if min(told.after) <= min(told.before) + _FRAMES_MS:
            return
        seen.append(told)
    raise AssertionError(seen)
