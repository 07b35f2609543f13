"""The telephone's playback buffer: which of the box's frames sounds at which tick. Pure.

Frames carry the box's counter, so that a frame belongs to one tick: late means lost, and the delay
between the two ends stays what it was when the first frame came, however the machine stumbles.
"""

from __future__ import annotations

_MODULUS = 1 << 32
# So many ticks in a row for which the newest frame came too late: the box's pace has moved, it did not just stumble.
_LATE_IN_A_ROW = 3
# Frames that waited at every tick for so long are delay without use.
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
        self.reset()

    def reset(self) -> None:
        """Forget the stream (the voice path slept, or the wire broke); counters stay."""
        self._frames: dict[int, bytes] = {}
        self._due: int | None = None
        self._owed = 0
        self._unsure = 0
        self._newest: tuple[int, bytes] | None = None
        self._late_run = 0
        self._watched = 0
        self._surplus = _FAR_OFF

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
        self._newest = counter, frame
        ahead = _distance(counter, self._due)
        if -_FAR_OFF < ahead < 0:
            self.late_frames += 1
            return
        if abs(ahead) >= _FAR_OFF:
            self._lock(counter)
        self._frames[counter] = frame

    def tick(self, *, stalled: bool) -> list[bytes]:
        """What sounds now: one frame, or none at all when nothing was there.

        `stalled`: this very process came late, so that the box had no time to answer. Then the tick
        is owed, not slipped, and a later tick returns several frames: the telephone on the table
        would not have stood still.
        """
        if self._due is None:
            return []
        self._follow()
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

    def _follow(self) -> None:
        """A box that is late at every tick sets a new pace: its newest frame is in time from now on."""
        if self._newest is None or self._due is None:
            return
        counter, frame = self._newest
        self._newest = None
        self._late_run = self._late_run + 1 if _distance(counter, self._due) < 0 else 0
        if self._late_run >= _LATE_IN_A_ROW:
            self._lock(counter)
            self._frames[counter] = frame

    def _shed(self) -> None:
        """Give up as many frames as have been waiting at every tick for seconds."""
        self._watched += 1
        self._surplus = min(self._surplus, len(self._frames))
        excess = self._surplus if self._watched >= _SURPLUS_TICKS else 0
        if self._watched >= _SURPLUS_TICKS or self._owed:
            self._watched, self._surplus = 0, _FAR_OFF
        for _ in range(max(excess, len(self._frames) - _FAR_OFF)):
            if self._due is not None and self._frames.pop(self._due, None) is not None:
                self.dropped_frames += 1
            self._advance()

    def _lock(self, due: int) -> None:
        self.dropped_frames += len(self._frames)
        self._frames.clear()
        self._due = due
        self._owed = self._late_run = self._watched = 0
        self._surplus = _FAR_OFF

    def _advance(self) -> None:
        if self._due is not None:
            self._due = (self._due + 1) % _MODULUS


def _distance(counter: int, due: int) -> int:
    """How many frames `counter` lies after `due` (negative: before), across the wrap."""
    return (counter - due + _MODULUS // 2) % _MODULUS - _MODULUS // 2
