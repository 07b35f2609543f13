"""What an account's calls were like: from records to a standing, and from there to the order of routes."""

from __future__ import annotations

import pytest

from firmware.standings import standings
from firmware.tariffs import Standing


def row(account: str = "a", end: str = "caller", code: int = 200, mos: float | None = None) -> dict[str, object]:
    quality = None if mos is None else {"mos": mos}
    return {"direction": "out", "account": account, "end": end, "sip_code": code, "quality": quality}


def test_the_best_opinion_is_one_and_the_worst_is_nought() -> None:
    found = standings([row("a", mos=4.5)] * 3 + [row("b", mos=1.0)] * 3)
    assert found == {"a": Standing(1.0, 1.0), "b": Standing(0.0, 1.0)}


def test_too_few_calls_say_nothing() -> None:
    assert standings([row(mos=4.0)] * 2) == {"a": Standing(None, None)}


@pytest.mark.parametrize(
    ("end", "code", "reliability"),
    [
        ("failed", 503, 0.75),
        ("failed", 408, 0.75),
        ("failed", 0, 0.75),
        ("failed", 404, 1.0),  # the number does not exist: no fault of the account's
        ("busy", 486, 1.0),
        ("no-answer", 480, 1.0),
    ],
)
def test_only_the_accounts_own_failures_count(end: str, code: int, reliability: float) -> None:
    found = standings([row(), row(), row(), row(end=end, code=code)])
    assert found["a"].reliability == pytest.approx(reliability)


def test_calls_that_the_caller_gave_up_do_not_count() -> None:
    assert standings([row(end="cancelled", code=487)] * 5) == {}
