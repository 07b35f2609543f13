"""The stack's counters as a reading: what a copy of a packet counts for, and lengths."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.sip.statistics import reading_of


def reading(*, came: int, copies: int, lost: int, discarded_frames: int, frames: int = 2) -> StreamReading:
    jitter = SimpleNamespace(mean=1500.0, max=4000.0)
    stat: Any = SimpleNamespace(
        rtcp=SimpleNamespace(
            rxStat=SimpleNamespace(pkt=came, dup=copies, loss=lost, jitterUsec=jitter),
            txStat=SimpleNamespace(pkt=1000, loss=7),
            rttUsec=SimpleNamespace(n=1, mean=20_000.0, last=30_000.0),
        ),
        jbuf=SimpleNamespace(discard=discarded_frames, lost=3, empty=4, avgDelayMsec=31, maxDelayMsec=60, size=0),
    )
    codec = SimpleNamespace(
        info=SimpleNamespace(frameLen=10, frameLenDenum=1), setting=SimpleNamespace(frmPerPkt=frames)
    )
    info: Any = SimpleNamespace(codecName="PCMA", codecClockRate=8000, audCodecParam=codec)
    return reading_of(stat, info)


@pytest.mark.parametrize(
    ("came", "copies", "discarded_frames", "frames", "received", "discarded"),
    [
        (1000, 0, 0, 2, 1000, 0),
        (1020, 20, 40, 2, 1000, 0),  # each copy was refused, in both its frames
        (1020, 20, 60, 2, 1000, 10),  # and ten packets came too late
        (1020, 20, 0, 2, 1000, 0),
        (1000, 0, 1, 2, 1000, 1),  # a frame given up to shorten the delay
        (1030, 30, 90, 3, 1000, 0),
    ],
)
def test_a_copy_of_a_packet_is_neither_received_nor_too_late(
    came: int, copies: int, discarded_frames: int, frames: int, received: int, discarded: int
) -> None:
    seen = reading(came=came, copies=copies, lost=0, discarded_frames=discarded_frames, frames=frames)
    assert (seen.received, seen.discarded) == (received, discarded)


@pytest.mark.parametrize("lost", [0, 1, 25])
def test_losses_are_as_the_library_tells_them_so_that_none_jumps_between_two_looks(lost: int) -> None:
    assert reading(came=1000, copies=20, lost=lost, discarded_frames=40).lost_here == lost


def test_lengths_are_milliseconds_and_losses_there_the_far_ends() -> None:
    seen = reading(came=10, copies=0, lost=0, discarded_frames=0)
    assert (seen.codec, seen.packet_ms, seen.lost_there, seen.concealed) == ("PCMA/8000", 20.0, 7, 7)
    assert (seen.jitter_ms, seen.jitter_max_ms, seen.buffer_ms) == (1.5, 4.0, 31.0)
    assert (seen.round_trip_ms, seen.round_trip_now_ms, seen.buffer_now_ms) == (20.0, 30.0, 10.0)
