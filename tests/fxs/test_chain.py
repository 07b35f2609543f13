"""From the telephone's dial or keys to the order to place a call: digit for digit, in virtual time.

The short form; `python -m tests.bench --only chain` does a thousand of each.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from firmware.fxs.telephone_dialer import Keying
from firmware.fxs.telephone_hook import Dial
from tests.fakes import chain
from tests.fakes.chain import Chain, Outcome


def wrong(outcomes: Iterable[Outcome]) -> list[str]:
    return [str(outcome) for outcome in outcomes if not outcome.right]


@pytest.mark.parametrize("pps", [7.0, 7.5, 10.0, 16.0, 22.0])
def test_numbers_turned_on_a_worn_dial_come_out_digit_for_digit(pps: float) -> None:
    assert wrong(chain.by_dial(seed, pps) for seed in range(40)) == []


@pytest.mark.parametrize(("code", "numbers"), [("FR", 60), ("UK", 20), ("US", 20)])
def test_weak_noisy_twisted_digits_over_dial_tone_come_out_digit_for_digit(code: str, numbers: int) -> None:
    assert wrong(chain.by_keys(seed, code) for seed in range(numbers)) == []


def test_numbers_half_turned_and_half_keyed_come_out_digit_for_digit() -> None:
    assert wrong(chain.by_both(seed) for seed in range(25)) == []


def test_numbers_turned_while_the_voice_path_listens_are_not_heard_as_tones_too() -> None:
    assert wrong(chain.by_dial(seed, 10, voice=True) for seed in range(10)) == []


def test_an_edge_that_never_arrives_costs_the_number_at_most_and_never_calls_another() -> None:
    """Every edge in turn, bounce included, of two numbers."""
    ends: Counter[str] = Counter()
    for seed in range(2):
        for outcome in map(chain.by_dial_losing, itertools.repeat(seed), itertools.count()):
            if outcome is None:
                break
            assert outcome.placed in {outcome.dialled, None}, outcome
            ends["right" if outcome.right else "none"] += 1
    assert ends.total() > 150
    assert ends["right"] > 0.98 * ends.total()


def test_a_tone_pressed_right_after_a_rotary_digit_comes_after_it() -> None:
    line = Chain(1)
    at = line.turn("1", Dial(), line.lift() + 0.5)
    line.press("7", Keying(), at + 0.02)  # within the pause that would have ended the 1
    line.run(at + 3)
    assert line.board.placed == ["17"]


@pytest.mark.parametrize("tones", [False, True])
def test_dial_tone_stops_at_the_first_pulse_and_at_the_first_tone(tones: bool) -> None:  # noqa: FBT001
    line = Chain(2, loss_db=None)
    at = line.lift() + 0.6
    end = line.press("7", Keying(), at) if tones else line.turn("7", Dial(), at)
    line.run(at)
    assert abs(line.set._heard).max() > 1000
    line.run(end + 0.02)
    assert abs(line.set._heard).max() == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda line, at: line.press("0142685300", Keying(level_dbm0=-60), at),
        lambda line, at: line.press("0142685300", Keying(detune_percent=5), at),
        lambda line, at: line.press("0142685300", Keying(on_ms=15), at),
        lambda line, at: line.turn("0142685300", Dial(pps=25, break_share=0.3), at),
    ],
)
def test_what_no_exchange_understands_calls_nobody(spoilt: Callable[[Chain, float], float]) -> None:
    """The chain above can fail."""
    line = Chain(3, loss_db=None)
    line.run(spoilt(line, line.lift() + 0.5) + 10)
    assert line.board.placed == []
