"""What the earpiece's listener makes of the samples: tones by frequency and cadence, voice, silence.

Each 10 ms frame is classed by projecting it on the country's frequencies (least squares, so that
neither phase nor window matters); runs of equal frames are then matched with the known cadences.
In France every tone is 440 Hz: the cadence alone decides, as it does for people.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from firmware.fxs.pcm import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ
from firmware.fxs.telephone_plans import KnownTone, TonePlan

Samples = NDArray[np.float64]
TonePitch = tuple[float, ...]

SILENCE: TonePitch = ()
SOUND: TonePitch = (0.0,)  # neither silent nor a pure known tone: speech, music, modem ...

_FULL_SCALE_RMS = 32768 / np.sqrt(2)
_FULL_SCALE_DBM0 = 3.14  # ITU-T G.711: a full-scale sine
_SILENCE_DBM0 = -46.0
_PURE = 0.88  # share of a frame's energy that a tone explains: 8.6 dB above the noise
_SHARE = 0.25  # amplitude of a tone's faintest frequency over its loudest: one alone is not the howler
_SETTLE_MS = 30  # shorter runs are a note's edge or a lost frame
_HOLE_MS = 60  # shorter than any cadence's pause: frames that slipped within a burst
_TONE_MS = 60
_DIAL_TONE_MS = 350  # longer than any French pause-and-burst but busy's and ringback's
_SILENCE_MS = 600  # longer than the busy tone's pause
_VOICE_MS = 80
_VOICE_WINDOW = 20
_VOICE_FRAMES = 10
_CLOSE_MS = 400
_LONG_PAUSE_MS = 1000
_SLACK_MS = 20
_SLACK_SHARE = 0.10


def rms_of_dbm0(dbm0: float) -> float:
    """Sample RMS of a level; +3.14 dBm0 is the full-scale sine."""
    return float(_FULL_SCALE_RMS * 10 ** ((dbm0 - _FULL_SCALE_DBM0) / 20))


class FrameClassifier:
    """Frame -> pitch: SILENCE, SOUND, or one of the plan's frequency sets."""

    def __init__(self, plan: TonePlan) -> None:
        pitches = sorted({tone.hz for tone in plan.tones}, key=len)
        self._fits = [(hz, *fit(hz)) for hz in pitches]
        self._silent = FRAME_SAMPLES * rms_of_dbm0(_SILENCE_DBM0) ** 2

    def pitch(self, frame: Samples) -> TonePitch:
        """The fewest frequencies that explain the frame win; each must have its part in it."""
        energy = float(frame @ frame)
        if energy < self._silent:
            return SILENCE
        best, left = SOUND, (1 - _PURE) * energy
        for hz, waves, solve in self._fits:
            if best is not SOUND and len(hz) > len(best):
                break
            parts = solve @ frame
            rest = frame - waves @ parts
            residue = float(rest @ rest)
            if residue > left:
                continue
            powers = parts[: len(hz)] ** 2 + parts[len(hz) :] ** 2
            if len(hz) == 1 or float(powers.min()) >= _SHARE**2 * float(powers.max()):
                # Of as many frequencies those that leave least: 350 + 440 Hz nearly make 400 + 450 in 10 ms.
                best, left = hz, residue
        return best


def fit(hz: TonePitch) -> tuple[Samples, Samples]:
    """The cosines and sines of `hz` within a frame (FRAME_SAMPLES x 2n), and what solves for their amplitudes."""
    turns = np.outer(np.arange(FRAME_SAMPLES) / SAMPLE_RATE_HZ, 2 * np.pi * np.array(hz))
    waves = np.hstack([np.cos(turns), np.sin(turns)])
    return waves, np.linalg.pinv(waves)


class Ears:
    """Feed it each frame heard; `hearing` is what a person would say it is, or None while unsure."""

    def __init__(self, plan: TonePlan) -> None:
        self._plan = plan
        self._classifier = FrameClassifier(plan)
        self.hearing: str | None = None
        self._expect_dial_tone = False
        self._begin()

    def lifted(self, *, expect_dial_tone: bool) -> None:
        """The handset comes to the ear. Who lifts to call (or after a flash) expects dial tone first."""
        self._begin()
        self._expect_dial_tone = expect_dial_tone

    def dialled(self) -> None:
        """A digit was dialled: a long tone is ringback from now on."""
        self._expect_dial_tone = self._spoken_to = False

    def _begin(self) -> None:
        self.hearing = None
        self._spoken_to = False
        self._pitch: TonePitch = SILENCE
        self._ms = 0
        self._next: TonePitch = SILENCE
        self._next_ms = 0
        self._past: deque[tuple[TonePitch, int]] = deque(maxlen=8)
        self._sounding: deque[bool] = deque(maxlen=_VOICE_WINDOW)

    def feed(self, frame: Samples) -> str | None:
        """One frame of samples; returns `hearing`."""
        pitch = self._classifier.pitch(frame)
        self._sounding.append(pitch == SOUND)
        if pitch == self._pitch:
            self._ms += FRAME_MS + self._next_ms
            self._next_ms = 0
        elif pitch == self._next:
            self._next_ms += FRAME_MS
        else:
            # The frame at a note's edge is half one thing, half the other: it goes to the earlier.
            self._ms += self._next_ms
            self._next, self._next_ms = pitch, FRAME_MS
        if self._next_ms >= _SETTLE_MS:
            self._turn()
        self.hearing = self._judge()
        return self.hearing

    def _turn(self) -> None:
        """One run has ended and the next begun; a hole in a burst is no pause, and the burst goes on."""
        hole = self._pitch == SILENCE and self._ms <= _HOLE_MS
        if hole and self._past and self._past[-1][0] == self._next != SOUND:
            _, burst = self._past.pop()
            self._pitch, self._ms, self._next_ms = self._next, burst + self._ms + self._next_ms, 0
            return
        self._past.append((self._pitch, self._ms))
        self._pitch, self._ms, self._next_ms = self._next, self._next_ms, 0

    def _judge(self) -> str | None:
        if sum(self._sounding) >= _VOICE_FRAMES:
            return self._voice()
        if self._pitch == SILENCE:
            return self._pause()
        if self._pitch == SOUND:
            return self._voice() if self._ms >= _VOICE_MS else self.hearing
        return self._tone()

    def _tone(self) -> str | None:
        """Within a burst, or a continuous tone."""
        known = [tone for tone in self._plan.tones if tone.hz == self._pitch]
        cadenced = [tone for tone in known if tone.cadence]
        if self._past:
            between = [t for t in self._plan.tones if t.beside == self._pitch and t.hz == self._past[-1][0]]
            if between and self._ms <= _most(max(between[0].cadence)):
                return between[0].event  # it goes up and down between two frequencies
        # Once dialled, a dial tone would have to be one that never stopped.
        dialling = self._expect_dial_tone or self.hearing == "dial-tone"
        followed = self._best([t for t in cadenced if dialling or t.event != "dial-tone"], complete=2)
        if followed is not None:
            return followed.event
        continuous = next((tone.event for tone in known if not tone.cadence), None)
        if continuous and self.hearing in {continuous, "stutter-tone"}:
            # It goes on, whatever was dialled meanwhile; and a stutter tone goes on as dial tone.
            return self.hearing
        if continuous and self._expect_dial_tone and self._ms >= _DIAL_TONE_MS:
            return continuous
        possible = [tone.event for tone in cadenced if self._ms <= _most(max(tone.cadence[::2]))]
        if not possible:
            return continuous
        # After words the dial tone may come back (a service's answer) as well as ringback: its end will tell.
        unsure = continuous and (self._expect_dial_tone or self._spoken_to)
        if len(possible) == 1 and self._ms >= _TONE_MS and not unsure:
            return possible[0]
        return self.hearing if self.hearing in possible else None

    def _pause(self) -> str | None:
        """Within silence, which may be the pause of a tone."""
        if self._past and self._past[-1][0] not in {SILENCE, SOUND}:
            if self._ms <= _HOLE_MS:
                return self.hearing
            hz = self._past[-1][0]
            possible = [t for t in self._plan.tones if t.hz == hz and t.cadence and self._follows(t, complete=1)]
            # What explains more of what was heard comes first.
            for tone in sorted(possible, key=self._explained, reverse=True):
                over = tone.hold_ms is not None and self._ms > tone.hold_ms
                if not over and (tone.event == self.hearing or self._follows(tone, complete=3)):
                    return tone.event
                alone = len(possible) == 1 and max(tone.cadence[1::2]) >= _LONG_PAUSE_MS
                if alone and not over and self._ms >= _CLOSE_MS:
                    return tone.event
        if self._ms >= _SILENCE_MS:
            return "silence"
        return self.hearing if self.hearing in {"voice", "silence"} else None

    def _voice(self) -> str | None:
        """Voice, unless it has just been interrupted by a call-waiting beep."""
        self._expect_dial_tone = False
        self._spoken_to = True
        if self._pitch == SOUND and self._past:
            hz, ms = self._past[-1]
            for tone in self._plan.tones:
                beep = tone.hold_ms is not None and tone.hz == hz and _least(min(tone.cadence[::2])) <= ms
                if beep and ms <= _most(max(tone.cadence[::2])) and tone.hold_ms and self._ms <= tone.hold_ms:
                    return tone.event
        return "voice"

    def _best(self, tones: list[KnownTone], complete: int) -> KnownTone | None:
        """The tone that explains most of what was heard, `complete` runs at least; of equal ones the first."""
        explained = max(tones, key=self._explained, default=None)
        return explained if explained is not None and self._explained(explained) >= complete else None

    def _follows(self, tone: KnownTone, complete: int) -> bool:
        """Whether the last `complete` runs and the present one (so far) are `tone`'s on, off, on ..."""
        return self._explained(tone) >= complete

    def _explained(self, tone: KnownTone) -> int:
        """How many of the last runs, and before them the present one (so far; -1 if not it), are `tone`'s."""
        if not tone.cadence or self._pitch not in {SILENCE, tone.hz}:
            return -1
        first = 1 if self._pitch == SILENCE else 0
        return max(self._backwards(tone, place) for place in range(first, len(tone.cadence), 2))

    def _backwards(self, tone: KnownTone, place: int) -> int:
        """The same, if the present run is the cadence's one at `place`."""
        if self._ms > _most(tone.cadence[place]):
            return -1
        count = 0
        for hz, ms in reversed(self._past):
            place = (place - 1) % len(tone.cadence)
            wanted = tone.cadence[place]
            if hz != (SILENCE if place % 2 else tone.hz) or not _least(wanted) <= ms <= _most(wanted):
                break
            count += 1
        return count


def _most(ms: int) -> float:
    """The longest run that still passes for `ms` (E.180 asks ±10 %; frames blur the edges)."""
    return ms * (1 + _SLACK_SHARE) + _SLACK_MS


def _least(ms: int) -> float:
    return ms * (1 - _SLACK_SHARE) - _SLACK_MS
