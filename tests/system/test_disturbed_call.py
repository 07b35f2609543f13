"""The short form of `make bench-voice`'s row "disturbed": a call while the page dies and every core is taken."""

from __future__ import annotations

import pytest

from tests.bench.disturbed import disturbed_call
from tests.bench.weather import weather_box

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

# A jitter buffer that grew while the far end itself was starved gives back 10 ms at a time, in quiet stretches.
_FRAMES_MS = 40.0
TRIES = 3


def test_a_call_outlives_page_and_hogs_and_is_no_later_afterwards() -> None:
    seen = []
    with weather_box() as (box, peer):
        for _ in range(TRIES):
            told = disturbed_call(box, peer, 4, cycle=2)
            assert told.lived
            assert told.cycles >= 1
            assert told.during, "the voice came through all the while"
            if min(told.after) <= min(told.before) + _FRAMES_MS:
                return
            seen.append(told)
    raise AssertionError(seen)
