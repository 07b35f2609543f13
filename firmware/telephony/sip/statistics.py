"""The stack's statistics of a stream as a value (`quality_meter.StreamReading`). Pure: structures in, numbers out."""

from __future__ import annotations

from typing import Any, Final

from firmware.telephony.quality_meter import StreamReading

_USEC: Final = 1000.0
_PLAIN: Final = 1  # the denominator of a length in ms, for builds that have none


def reading_of(stat: Any, info: Any) -> StreamReading:
    """From pjsua2's `StreamStat` and `StreamInfo` (or what looks like them).

    Both must be held by the caller: their parts live within them.
    """
    rtcp, buffer, codec = stat.rtcp, stat.jbuf, info.audCodecParam
    received, sent = rtcp.rxStat, rtcp.txStat
    jitter, trip = received.jitterUsec, rtcp.rttUsec
    frame_ms = codec.info.frameLen / max(1, getattr(codec.info, "frameLenDenum", _PLAIN))
    frames = max(1, codec.setting.frmPerPkt)
    doubled = int(received.dup)
    measured = trip.n > 0
    return StreamReading(
        codec=f"{info.codecName}/{info.codecClockRate}",
        packet_ms=frame_ms * frames,
        sent=int(sent.pkt),
        received=int(received.pkt) - doubled,
        lost_here=int(received.loss),  # as RFC 3550 counts: a copy of another packet hides a loss
        lost_there=int(sent.loss),
        # Told in frames, those of the copies among them: what a copy would have said was heard already.
        discarded=max(0, -(-buffer.discard // frames) - doubled),
        concealed=int(buffer.lost + buffer.empty),
        jitter_ms=jitter.mean / _USEC,
        jitter_max_ms=jitter.max / _USEC,
        buffer_ms=float(buffer.avgDelayMsec),
        buffer_max_ms=float(buffer.maxDelayMsec),
        buffer_now_ms=max(1, buffer.size) * frame_ms,  # as the mean counts: with the frame just taken
        round_trip_ms=trip.mean / _USEC if measured else None,
        round_trip_now_ms=trip.last / _USEC if measured else None,
    )
