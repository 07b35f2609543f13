"""The telephone's playback buffer: which of the box's frames sounds at which tick. Pure.

Frames carry the box's counter, so that a frame belongs to one tick: late means lost, and the delay
between the two ends stays what it was when the first frame came, however the machine stumbles.
"""

from __future__ import annotations

_MODULUS = 1 << 32
# Frames that come too late this often in a row mean that the box's pace has moved, not that it stumbled.
_LATE_IN_A_ROW = 3
# A surplus that lasted this many ticks is delay without use.
_SURPLUS_TICKS = 300
# Counters further off than this are another stream.
_FAR_OFF = 50
# Silence after this many missing frames is counted at once, without waiting for the next frame.
_CERTAIN_SLIPS = 10


class Playout:
    """Call `arrived` for each frame of the wire and `tick` once each 10 ms, `reset` when sound starts or ends.

    `slipped_frames` counts ticks that had to play silence while sound should flow, `late_frames`
    frames that came after their tick, `dropped_frames` frames shed to win delay back.
    """

    def __init__(self) -> None:
        self.slipped_frames = 0
        self.late_frames = 0
        self.dropped_frames = 0
        self._frames: dict[int, bytes] = {}
        self._due: int | None = None
        self._owed = 0
        self._unsure = 0
        self._late_run = 0
        self._surplus = 0

    def reset(self) -> None:
        """Forget the stream (the voice path slept, or the wire broke); counters stay."""
        self._frames.clear()
        self._due = None
        self._owed = self._unsure = self._late_run = self._surplus = 0

    @property
    def depth(self) -> int:
        """Frames waiting."""
        return len(self._frames)

    def arrived(self, counter: int, frame: bytes) -> None:
        """A frame of the wire."""
        self.slipped_frames += self._unsure
        self._unsure = 0
        if self._due is None:
            self._due = counter
        ahead = _distance(counter, self._due)
        if ahead < 0:
            self.late_frames += 1
            self._late_run += 1
            if self._late_run < _LATE_IN_A_ROW and ahead > -_FAR_OFF:
                return
            self._relock(counter)
        elif ahead > _FAR_OFF:
            self._relock(counter)
        else:
            self._late_run = 0
        self._frames[counter] = frame

    def tick(self, *, stalled: bool) -> list[bytes]:
        """What sounds now: one frame, or none at all when nothing was there.

        `stalled`: this very process came late, so that the box had no time to answer. Then the tick
        is owed, not slipped, and a later tick returns several frames: the telephone on the table
        would not have stood still.
        """
        if self._due is None:
            return []
        frames: list[bytes] = []
        frame = self._frames.pop(self._due, None)
        if frame is not None:
            frames.append(frame)
            self._advance()
            while self._owed and self._due in self._frames:
                frames.append(self._frames.pop(self._due))
                self._advance()
                self._owed -= 1
        elif stalled:
            self._owed += 1
        else:
            self._slip()
        self._shed()
        return frames

    @property
    def owes(self) -> bool:
        """Whether the tick that returned nothing will be made good."""
        return self._owed > 0

    def _slip(self) -> None:
        """Silence in place of the frame that is not there.

        Counted when the next frame proves that sound still flows: the last tick before the box
        rests the voice path is no slip.
        """
        self._advance()
        self._unsure += 1
        if self._unsure >= _CERTAIN_SLIPS:
            self.slipped_frames += self._unsure
            self._unsure = 0

    def _shed(self) -> None:
        """Give up a frame when one has been waiting at every tick for seconds: delay that buys nothing."""
        self._surplus = self._surplus + 1 if self._frames and not self._owed else 0
        if (self._surplus > _SURPLUS_TICKS or len(self._frames) > _FAR_OFF) and self._due is not None:
            self._surplus = 0
            self._frames.pop(self._due, None)
            self._advance()
            self.dropped_frames += 1

    def _relock(self, counter: int) -> None:
        self.dropped_frames += len(self._frames)
        self._frames.clear()
        self._due = counter
        self._owed = self._late_run = self._surplus = 0

    def _advance(self) -> None:
        if self._due is not None:
            self._due = (self._due + 1) % _MODULUS


def _distance(counter: int, due: int) -> int:
    """How many frames `counter` lies after `due` (negative: before), across the wrap."""
    return (counter - due + _MODULUS // 2) % _MODULUS - _MODULUS // 2
