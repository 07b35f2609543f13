"""Whatever a hand, a lossy reader and a broken clock do: the account is consistent, the next hand understood."""

from __future__ import annotations

import math
from copy import deepcopy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.fxs.hook import HookDecoder, HookDown, HookEvent, HookFlash, HookUp, PulseDigit, PulsesUnclear
from tests.fakes.contact import kinds

_STRANGE = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1e6, 1e12])


class AnyHand(RuleBasedStateMachine):
    """Whatever a hand does to the cradle, the decoder's account stays consistent with the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = HookDecoder()
        self.now = 0.0
        self.level = False
        self.level_since = 0.0
        self.up = False
        self.last_event = 0.0

    @initialize(at=st.floats(0, 100))
    def begin(self, at: float) -> None:
        self.now = self.level_since = at
        self.decoder.tick(at)

    def take(self, events: list[HookEvent]) -> None:
        for event in events:
            assert self.last_event <= event.at <= self.now + 1e-5
            self.last_event = event.at
            match event:
                case HookUp():
                    assert not self.up
                    self.up = True
                case HookDown():
                    assert self.up
                    self.up = False
                case HookFlash() | PulseDigit() | PulsesUnclear():
                    assert self.up
        assert self.decoder.off_hook == self.up

    @rule(ms=st.floats(0, 900))
    def time_passes(self, ms: float) -> None:
        self.now += ms / 1000
        self.take(self.decoder.tick(self.now))

    @rule(ms=st.floats(0.05, 900))
    def contact_moves(self, ms: float) -> None:
        self.now += ms / 1000
        self.level = not self.level
        self.level_since = self.now
        self.take(self.decoder.handle(self.level, self.now))

    @rule()
    def level_is_read(self) -> None:
        self.take(self.decoder.resync(self.level, self.now))

    @rule()
    def a_tone_is_dialled(self) -> None:
        self.take(self.decoder.end_digit(self.now))

    @rule(on=st.booleans())
    @precondition(lambda self: not self.up)
    def ring(self, on: bool) -> None:  # noqa: FBT001
        self.decoder.set_ringing(ringing=on)
        self.take(self.decoder.tick(self.now))  # other rules may make something certain at once

    @invariant()
    def deadlines_lie_ahead(self) -> None:
        due = self.decoder.next_deadline()
        assert due is None or due >= self.now - 1e-5

    @invariant()
    def a_quiet_loop_is_told_as_it_is(self) -> None:
        if self.now - self.level_since > 0.601:
            self.take(self.decoder.tick(self.now))
            assert self.up == self.level


class LossyReader(AnyHand):
    """Edges may be lost, doubled, late, or stamped wrongly; the level is right whenever it is read."""

    @rule(ms=st.floats(0.05, 900))
    def an_edge_is_lost(self, ms: float) -> None:
        self.now += ms / 1000
        self.level = not self.level
        self.level_since = math.inf  # told as it is only once it was read

    @rule(ms=st.floats(0, 900), closed=st.booleans())
    def an_edge_comes_from_nowhere(self, ms: float, closed: bool) -> None:  # noqa: FBT001
        self.now += ms / 1000
        self.level_since = math.inf
        self.take(self.decoder.handle(closed, self.now, self.now))

    @rule(late_ms=st.floats(0, 400))
    def an_edge_comes_late(self, late_ms: float) -> None:
        self.level = not self.level
        self.level_since = math.inf
        self.take(self.decoder.handle(self.level, self.now - late_ms / 1000, self.now))

    @rule(stamp=_STRANGE)
    def an_edge_is_stamped_by_a_broken_clock(self, stamp: float) -> None:
        self.level = not self.level
        self.level_since = math.inf
        self.take(self.decoder.handle(self.level, stamp, self.now))

    @rule(seconds=st.floats(1, 5))
    def the_process_sleeps(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def deadlines_lie_ahead(self) -> None:
        """Not here: a late edge's may have passed. What is past is done at the next tick."""
        twin = deepcopy(self.decoder)
        twin.tick(self.now)
        due = twin.next_deadline()
        assert due is None or due >= self.now - 1e-5

    @invariant()
    def the_next_hand_is_understood(self) -> None:
        """Hang up, lift, dial a 3, press R, hang up: asked of a twin, so that the play goes on from where it was."""
        twin, now = deepcopy(self.decoder), self.now
        twin.set_ringing(ringing=False)
        twin.resync(closed=False, now=now + 0.1)
        twin.tick(now + 2)
        assert not twin.off_hook
        at = now + 3
        edges = [
            (True, at),
            *((level, at + 1 + n / 10 + (0.066 if level else 0)) for n in range(3) for level in (False, True)),
        ]
        edges += [(False, at + 3), (True, at + 3.27), (False, at + 5)]
        events = [event for closed, moment in edges for event in twin.handle(closed, moment, moment + 0.01)]
        assert kinds(events + twin.tick(at + 6)) == ["HookUp", "PulseDigit3", "HookFlash", "HookDown"]


TestAnyHand = AnyHand.TestCase
TestAnyHand.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestLossyReader = LossyReader.TestCase
TestLossyReader.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
