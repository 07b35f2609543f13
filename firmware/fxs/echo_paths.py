"""Which of three outputs of the echo canceller is heard: the adapting filter's, the held filter's, or the line's own.

The adapting filter goes astray while both people talk. The held one is a copy of it from when only the far end did,
renewed only by a copy that took more echo out of frames which it had not learnt from: the two-path model (K. Ochiai,
T. Araseki, T. Ogihara, IEEE Trans. Communications COM-25, 1977; two-path operation in ITU-T G.168 terms). Pure:
energies in, decisions out; no samples, no clock.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

_SMOOTHING: Final = 1 / 8
"""A decision looks 80 ms back: a syllable's beginning."""
_STEADY: Final = 0.9
"""What is heard stays heard for half a dB: nobody gains by changing to and fro."""
_ADAPTING_COSTS: Final = 0.85
"""It costs no arithmetic of ours, and follows the line."""
_ADAPTING_COSTS_DOUBLE: Final = 2.0
"""While both talk the adapting filter takes some of the near voice with it, which looks like less echo."""
_UNPROVEN_COSTS: Final = 1.2
"""Before any copy was held: what takes next to nothing off the sound may take it off a near voice."""
_PLAIN_COSTS: Final = 1.05
_ASTRAY: Final = 1.1
_ASTRAY_FRAMES: Final = 600
"""Before any copy was held: a filter that left so many times what came in went after a near voice, a tone most of all;
when it leaves less soon after, that voice is what it has caught. For so long it is neither heard nor copied."""
_MARGIN: Final = 6.0
"""So many times (8 dB) what the held filter left at its best, and there is a near voice, or another hybrid."""
_FINEST: Final = 10 ** (-24.0 / 10)
"""However good the filter was: what is 16 dB below the echo is nobody's voice."""
_RINGING: Final = 0.8
"""An echo dies away in its tail: 1 dB a frame."""
_PROVEN: Final = 0.05
_SETTLED: Final = 10 ** (-25.0 / 10)
_MOSTLY_ECHO: Final = 0.3
"""A filter that leaves less than this of the sound has hardly a near voice before it, or an echo that drowns it."""
_FORGET: Final = 10 ** (2.0 / 100 / 10)
"""What was left at best is believed 2 dB less each second of far voice."""
_CLEAN: Final = _FINEST * _MARGIN
_TRUSTED_FRAMES: Final = 3
"""Of four clean frames the held filter is asked in one: it is what costs."""
_NEAR_HOLD_FRAMES: Final = 12
_TRY_EVERY: Final = 5
_TRY_FRAMES: Final = 6
_TRY_FRAMES_DOUBLE: Final = 20
_BETTER: Final = 0.8
_MUCH_BETTER: Final = 0.5
"""In what looks like double talk only another hybrid makes the adapting filter 3 dB better."""


class Path(Enum):
    """What is heard."""

    PLAIN = "plain"
    ADAPTING = "adapting"
    HELD = "held"


class Trial(Enum):
    """What to do about a copy of the adapting filter."""

    NONE = "none"
    BEGIN = "begin"
    GO_ON = "go on"
    ADOPT = "adopt"
    DROP = "drop"


class PathChooser:
    """One call's choice. All energies are of one frame, in any one unit; only frames with a far voice are told.

    `near_talks`: a near voice is heard beside the echo, or the hybrid has changed. `best`: what the held filter
    left of the echo at its best, as a ratio of energies.
    """

    __slots__ = (
        "_adapting",
        "_astray",
        "_frames",
        "_held",
        "_hold",
        "_loud",
        "_plain",
        "_since",
        "_trial_frames",
        "_trial_held",
        "_trial_new",
        "_trial_ratio",
        "_trusted",
        "best",
        "path",
        "trying",
    )

    trying: bool
    _trial_frames: int
    _trial_held: float
    _trial_new: float
    _trial_ratio: float

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another call: nothing is known, and the adapting filter is heard."""
        self.path = Path.ADAPTING
        self.best = 1.0
        self._plain = self._adapting = self._held = 0.0
        self._loud = 0.0
        self._trusted = 0
        self._hold = 0
        self._since = 0
        self._astray = 0
        self._drop()

    @property
    def near_talks(self) -> bool:
        """See above; held on for 120 ms."""
        return self._hold > 0

    @property
    def proven(self) -> bool:
        """Whether a held filter took 13 dB off: until then what is left may well be a near voice."""
        return self.best < _PROVEN

    @property
    def learns_well(self) -> bool:
        """Whether to learn harder is worth while and does no harm: much is left to learn, and hardly a near voice."""
        return not self._astray and self.best > _SETTLED and self._adapting < self._plain * _MOSTLY_ECHO

    def trusts(self, plain: float, adapting: float) -> bool:
        """Whether the adapting filter is so clean that nobody need ask the held one; asked before every `choose`."""
        self._loud = max(plain, self._loud * _RINGING)
        wanted = self._hold or self.trying or self.path is not Path.ADAPTING or adapting > self._loud * _CLEAN
        if wanted or self._trusted == _TRUSTED_FRAMES:
            self._trusted = 0
            return False
        self._trusted += 1
        return True

    def choose(self, plain: float, adapting: float, held: float) -> Path:
        """The path for this frame, of the energies that each would leave."""
        self._plain += (plain - self._plain) * _SMOOTHING
        self._adapting += (adapting - self._adapting) * _SMOOTHING
        self._held += (held - self._held) * _SMOOTHING
        self._watch(held)
        if self._adapting > self._plain * _ASTRAY and not self.proven:
            self._astray = _ASTRAY_FRAMES
        elif self._astray:
            self._astray -= 1
        dear = _ADAPTING_COSTS_DOUBLE if self._hold else _ADAPTING_COSTS if self.proven else _UNPROVEN_COSTS
        costs = {
            Path.HELD: self._held,
            Path.ADAPTING: self._adapting * dear if not self._astray else math.inf,
            Path.PLAIN: self._plain * _PLAIN_COSTS,
        }
        costs[self.path] *= _STEADY
        self.path = min(costs, key=costs.__getitem__)
        return self.path

    def rest(self) -> Path:
        """The path while nothing can be told of a frame: the held filter's if that is proven, else the line's own."""
        self.path = Path.HELD if self.proven else Path.PLAIN
        self._hold = self._trusted = 0
        self._adapting = self._plain  # it is emptied: it leaves what comes in
        self._drop()
        return self.path

    def _watch(self, held: float) -> None:
        """Whether the held filter leaves more than it can when only the far end talks."""
        self.best = min(1.0, self.best * _FORGET)
        left = self._held / self._plain if self._plain else 1.0
        if left < self.best:
            self.best += (left - self.best) / 4
        if held > self._loud * max(self.best, _FINEST) * _MARGIN:
            self._hold = _NEAR_HOLD_FRAMES
        elif self._hold:
            self._hold -= 1

    def consider(self, held: float, new: float) -> Trial:
        """About copies, once a frame after `choose`: `new` is the energy that the copy under trial leaves, if any."""
        if not self.trying:
            self._since += 1
            ratio = _MUCH_BETTER if self._hold else _BETTER
            if self._astray or self._since < _TRY_EVERY or self._adapting > self._held * ratio:
                return Trial.NONE
            self.trying, self._trial_ratio = True, ratio
            self._trial_frames = _TRY_FRAMES_DOUBLE if self._hold else _TRY_FRAMES
            return Trial.BEGIN
        if self._hold and self._trial_ratio == _BETTER:
            # A near voice came up: it, and not the echo, would decide.
            self._drop()
            return Trial.DROP
        self._trial_held += held
        self._trial_new += new
        self._trial_frames -= 1
        if self._trial_frames:
            return Trial.GO_ON
        better = self._trial_new < self._trial_held * self._trial_ratio
        if better:
            self._held = self._adapting
            self._hold = 0
        self._drop()
        return Trial.ADOPT if better else Trial.DROP

    def _drop(self) -> None:
        self.trying = False
        self._since = 0
        self._trial_frames = 0
        self._trial_held = self._trial_new = 0.0
        self._trial_ratio = _BETTER
