"""When the far end is asked to hold, and when it is asked again."""

from __future__ import annotations

import pytest

from firmware.telephony.sip.hold import Hold


def asked(hold: Hold) -> bool | None:
    """Ask what is due, as the agent does."""
    due = hold.due()
    if due is not None:
        hold.sent()
    return due


def answer(hold: Hold, status: int, *, ours: bool = True, chance: float = 0.5) -> float | None:
    return hold.answered(status, ours=ours, chance=chance)


def test_nothing_is_asked_of_a_call_that_nobody_holds() -> None:
    hold = Hold()
    assert hold.due() is None
    assert answer(hold, 200) is None


def test_hold_and_take_back_are_asked_once_each() -> None:
    hold = Hold()
    hold.want(on=True)
    assert asked(hold) is True
    assert hold.due() is None
    assert answer(hold, 100) is None
    assert answer(hold, 200) == 0.0
    assert hold.due() is None
    hold.want(on=False)
    assert asked(hold) is False
    assert answer(hold, 200) == 0.0
    assert hold.due() is None


def test_a_hand_that_changes_its_mind_is_heard_when_the_first_is_answered() -> None:
    hold = Hold()
    hold.want(on=True)
    assert asked(hold) is True
    hold.want(on=False)
    assert hold.due() is None
    assert answer(hold, 200) == 0.0
    assert asked(hold) is False


@pytest.mark.parametrize(("ours", "shortest", "longest"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_after_491_both_sides_wait_times_that_do_not_meet(ours: bool, shortest: float, longest: float) -> None:  # noqa: FBT001
    for chance, seconds in ((0.0, shortest), (1.0, longest)):
        hold = Hold()
        hold.want(on=True)
        asked(hold)
        assert answer(hold, 491, ours=ours, chance=chance) == pytest.approx(seconds)
        assert asked(hold) is True


def test_a_hold_refused_for_good_is_let_be_and_taking_back_is_not() -> None:
    hold = Hold()
    hold.want(on=True)
    asked(hold)
    assert answer(hold, 488) is None
    hold = Hold(agreed=True)
    hold.want(on=False)
    asked(hold)
    assert answer(hold, 488) == 1.0
    assert asked(hold) is False


def test_it_is_not_asked_for_ever() -> None:
    hold = Hold(agreed=True)
    hold.want(on=False)
    again: list[float | None] = []
    while len(again) < 20:
        asked(hold)
        again.append(answer(hold, 500))
        if again[-1] is None:
            break
    assert len(again) == 6
    hold.want(on=True)
    hold.want(on=False)
    assert asked(hold) is False


def test_a_dialog_that_is_busy_is_tried_again_soon() -> None:
    hold = Hold()
    hold.want(on=True)
    assert hold.due() is True
    assert hold.not_sent() == pytest.approx(0.3)
    assert asked(hold) is True


def test_a_challenge_that_the_stack_never_answers_does_not_block_the_next() -> None:
    hold = Hold()
    hold.want(on=True)
    asked(hold)
    assert answer(hold, 407) == 10.0
    assert asked(hold) is True
    assert answer(hold, 200) == 0.0
    assert hold.due() is None
