"""The hybrid's echo, taken out of what the handset says. No gain control and no noise suppressor.

libspeexdsp's canceller goes astray while both people talk. So a copy of its filter is held beside it (`echo_paths`),
and each frame is the better of the two, or the line's own where neither helps. What the filters leave is suppressed
on demand (`echo_residual`). Fax machines and modems get the bare line (ITU-T G.168 section 7, T.30).

While nothing is known yet, each frame the filter learns from the last ones once more (`_rehearse`): the library makes
one small step a frame, and what a second of speech tells of a hybrid takes it several. Only while the filter already
takes most of the sound off: what it cannot take off may be a near voice, which repeated would lead it astray.

From a steady tone at the far end nothing is learnt: of all filters that take its echo off it tells one from another by
nothing but the near voice, so that each break in it (a lost packet) would be heard in that (ITU-T G.168 has tests of
narrow-band signals). While it lasts the held filter is heard if it is proven, else the line.

A canceller that has nothing to cancel still adapts, and harms the voice it should spare. So the line's return loss is
watched: the least that comes back while the far end talks. Beyond BYPASS_DB the voice passes as it is.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from operator import mul, sub

from firmware.fxs.dsp.connecttones import ModemTones
from firmware.fxs.dsp.fir import FilterHistory, Taps
from firmware.fxs.dsp.level import amplitude, rounded, samples_of
from firmware.fxs.dsp.speexdsp import SpeexEcho
from firmware.fxs.echo_paths import Path, PathChooser, Trial
from firmware.fxs.echo_residual import ResidualSuppressor
from firmware.fxs.pcm import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE
from firmware.fxs.steady import SteadyTone
from firmware.fxs.tones import crossfade

BYPASS_DB = 40.0
RETURN_DB = 32.0
_LEAST = 10 ** (-(BYPASS_DB + 4.0) / 10)
_BYPASS = 10 ** (-BYPASS_DB / 10)
_RETURN = 10 ** (-RETURN_DB / 10)
# What was once measured is forgotten by 6 dB in a second of far speech: lines and telephones change.
_FORGET = 10 ** (6.0 * FRAME_MS / 1000 / 10)
_TALKING = FRAME_SAMPLES * amplitude(-30.0) ** 2 / 2
_AUDIBLE = FRAME_SAMPLES * amplitude(-55.0) ** 2 / 2
"""Of a far voice below this no echo is heard, whatever the hybrid."""
_REHEARSED = 32
"""So many frames (320 ms) are learnt from again with each new one: a syllable or two."""
_REHEARSED_TAILS = 4
_MOST_REHEARSED = 64
"""A long tail wants more, for the first tail of them is learnt wrong; but the time is that of one tick."""
_REHEARSALS = 300
"""Frames with a far voice in which that is done: three seconds. It costs ten times what the filter alone does."""
_REHEARSAL_SECONDS = 0.003
_LATE_COSTS = 30
"""One that took longer costs that many: a small processor, or others who hold the interpreter lock that each native
call lends them, has no time for more than a few."""
_QUIET_FRAMES = 5
"""So many frames must agree: one may be a dip of the hybrid, not the absence of one."""


class EchoCanceller:
    """One line's canceller; `tail_ms` spans the hybrid's echo and the sound device's delay.

    `suppress`: what the filters leave is lowered while only the far end talks, with comfort noise in its place.
    `clock` (seconds) tells a machine that has no time to rehearse; without one it is taken to have it.
    `bypassed`: the voice passes as it is, for want of an echo or for a fax machine or modem; `modem` says which.
    """

    __slots__ = (
        "_adapting",
        "_chooser",
        "_clock",
        "_far",
        "_heard",
        "_held",
        "_history",
        "_new",
        "_notch",
        "_quiet",
        "_recent",
        "_rehearsals",
        "_returned",
        "_steady",
        "_suppressor",
        "_tones",
        "bypassed",
        "modem",
    )

    def __init__(self, tail_ms: int = 32, *, suppress: bool = False, clock: Callable[[], float] | None = None) -> None:
        if not 4 <= tail_ms <= 256:  # noqa: PLR2004 - below no hybrid fits, above it never converges
            msg = f"echo tail of {tail_ms} ms: wanted 4 to 256"
            raise ValueError(msg)
        self._clock = clock
        self._adapting = SpeexEcho(FRAME_SAMPLES, SAMPLE_RATE_HZ * tail_ms // 1000)
        # Fed with no far voice it is only the library's notch at 0 Hz, which the filter that it learns includes.
        self._notch = SpeexEcho(FRAME_SAMPLES, FRAME_SAMPLES)
        self._history = FilterHistory(FRAME_SAMPLES, self._adapting.tail_samples)
        self._far: deque[float] = deque(maxlen=tail_ms // FRAME_MS + 2)
        self._quiet: deque[float] = deque(maxlen=_QUIET_FRAMES)
        self._recent: deque[tuple[bytes, bytes]] = deque(
            maxlen=min(_MOST_REHEARSED, max(_REHEARSED, _REHEARSED_TAILS * tail_ms // FRAME_MS))
        )
        self._chooser = PathChooser()
        self._heard = self._chooser.path
        self._tones = (ModemTones(), ModemTones())
        self._steady = SteadyTone()
        self._suppressor = ResidualSuppressor() if suppress else None
        self._returned = 1.0
        self._rehearsals = 0
        self._held: Taps | None = None
        self._new: Taps | None = None
        self.bypassed = False
        self.modem = ""
        self._learn_anew()

    @property
    def path(self) -> Path:
        """Which output is heard."""
        return Path.PLAIN if self.bypassed else self._heard

    def cancel(self, near: bytes, far: bytes) -> bytes:
        """`near` (from the handset) without the echo of `far` (sent to it): frames of FRAME_BYTES."""
        bypassed = self.bypassed
        self._watch(near, far)
        if bypassed and self.bypassed:
            return near
        if bypassed:
            self._forget_filters()
            return crossfade(near, self._cancelled(near, far))
        out = self._cancelled(near, far)
        return crossfade(out, near) if self.bypassed else out

    # --- the two filters ----------------------------------------------------------------------

    def _cancelled(self, near: bytes, far: bytes) -> bytes:
        resting = self._steady.on
        if self._steady.feed(far):
            return self._at_rest(near, far, begins=not resting)
        far_talks = max(self._far) >= _AUDIBLE
        if far_talks and self._rehearsals and self._chooser.learns_well:
            self._rehearse()
        self._recent.append((near, far))
        adapting = self._adapting.cancel(near, far)
        plain = self._notch.cancel(near, SILENCE)
        self._history.push(far)
        if not far_talks:
            # Nothing comes back: all three are alike, and tell nothing of each other.
            return adapting if self._suppressor is None else self._suppressor.pass_on(adapting)
        line, chooser = samples_of(plain), self._chooser
        plain_energy, adapting_energy = float(sum(map(mul, line, line))), _energy(adapting)
        out = adapting
        if not chooser.trusts(plain_energy, adapting_energy):
            held = self._left(line, self._held)
            held_energy = sum(map(mul, held, held))
            before = self._heard
            self._heard = chooser.choose(plain_energy, adapting_energy, held_energy)
            self._try_copy(line, held_energy)
            out = self._output(self._heard, plain, adapting, held)
            if before is not self._heard:
                out = crossfade(self._output(before, plain, adapting, held), out)
        if self._suppressor is None:
            return out
        if not chooser.proven:
            return self._suppressor.pass_on(out)
        return self._suppressor.suppress(out, plain_energy, near_talks=chooser.near_talks)

    def _at_rest(self, near: bytes, far: bytes, *, begins: bool) -> bytes:
        """One frame of which nothing is learnt."""
        if begins:
            before, adapting = self._heard, self._adapting.cancel(near, far)
        plain = self._notch.cancel(near, SILENCE)
        self._history.push(far)
        line = samples_of(plain)
        self._heard = self._chooser.rest()
        held = self._left(line, self._held)
        out = self._output(self._heard, plain, plain, held)
        if begins:
            if before is not self._heard:
                out = crossfade(self._output(before, plain, adapting, held), out)
            # What the tone taught it, and what it does not know now of the sound's past.
            self._adapting.reset()
            self._recent.clear()
            self._new = None
            if not self._chooser.proven:
                self._held = None
        return out if self._suppressor is None else self._suppressor.pass_on(out)

    def _rehearse(self) -> None:
        """Learn from the last frames again. Only where they begin do they meet a past that was not theirs."""
        self._rehearsals -= 1
        began = self._clock() if self._clock is not None else 0.0
        for near, far in self._recent:
            self._adapting.cancel(near, far)
        # Never broken off: the next frame must find its own past in the filter.
        if self._clock is not None and self._clock() - began > _REHEARSAL_SECONDS:
            self._rehearsals = max(0, self._rehearsals - _LATE_COSTS)

    def _try_copy(self, line: array[int], held: float) -> None:
        new = 0.0
        if self._chooser.trying:
            left = self._left(line, self._new)
            new = sum(map(mul, left, left))
        match self._chooser.consider(held, new):
            case Trial.BEGIN:
                self._new = Taps(self._adapting.response())
            case Trial.ADOPT:
                self._held, self._new = self._new, None
            case Trial.DROP:
                self._new = None

    def _left(self, line: array[int], taps: Taps | None) -> Sequence[float]:
        return line if taps is None else list(map(sub, line, self._history.filtered(taps)))

    @staticmethod
    def _output(path: Path, plain: bytes, adapting: bytes, held: Sequence[float]) -> bytes:
        match path:
            case Path.PLAIN:
                return plain
            case Path.ADAPTING:
                return adapting
            case Path.HELD:
                return rounded(held)

    # --- when not to cancel -------------------------------------------------------------------

    def _watch(self, near: bytes, far: bytes) -> None:
        """Keep the return loss: the ratio of what comes back to what was sent all through the tail."""
        if not self.modem:
            self.modem = self._tones[0].feed(near) or self._tones[1].feed(far)
        if self.modem:
            self.bypassed = True
            return
        self._far.append(_energy(far))
        sent = min(self._far)
        if sent < _TALKING:
            return
        ratio = _energy(near) / sent
        self._returned = min(1.0, self._returned * _FORGET)
        if ratio < self._returned:
            self._quiet.append(ratio)
            if len(self._quiet) == _QUIET_FRAMES:
                self._returned = max(_LEAST, *self._quiet)
                self._quiet.clear()
        if self._returned < _BYPASS:
            self.bypassed = True
        elif self._returned > _RETURN:
            self.bypassed = False

    def _forget_filters(self) -> None:
        self._adapting.reset()
        self._recent.clear()
        self._rehearsals = _REHEARSALS
        self._notch.reset()
        self._history.reset()
        self._chooser.reset()
        self._heard = self._chooser.path
        self._held = self._new = None
        if self._suppressor is not None:
            self._suppressor.reset()

    def _learn_anew(self) -> None:
        self.bypassed = False
        self.modem = ""
        for tones in self._tones:
            tones.reset()
        self._returned = 1.0
        self._far.clear()
        self._far.extend([0.0] * (self._far.maxlen or 1))
        self._quiet.clear()
        self._steady.reset()
        self._forget_filters()

    def reset(self) -> None:
        """A new call, perhaps another telephone: learn again."""
        self._learn_anew()


def _energy(frame: bytes) -> float:
    samples = samples_of(frame)
    return float(sum(map(mul, samples, samples)))
