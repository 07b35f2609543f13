"""PINs: how good, how often, and compared by a process that tells nobody."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import pins
from firmware.pins import FORGET_SECONDS, FREE_FAILURES, MOST_WAIT_SECONDS, Gate, PinError


@pytest.mark.parametrize("pin", ["", "123", "1234", "9876", "7890", "0000", "12345678901230", "12a4", "１２４６"])
def test_a_pin_that_anybody_would_try_first_is_refused(pin: str) -> None:
    assert pins.weakness(pin)
    with pytest.raises(PinError):
        pins.hashed_apart(pin, {})


@pytest.mark.parametrize("pin", ["2468", "1357", "0007", "271828182845"])
def test_other_pins_will_do(pin: str) -> None:
    assert pins.weakness(pin) is None


def test_a_pin_is_found_by_its_hash_in_a_process_of_its_own() -> None:
    zoe = pins.hashed_apart("2468", {})
    assert zoe.startswith("$argon2id$")
    parents = pins.hashed_apart("97531", {"Zoé": zoe})
    with pytest.raises(PinError, match="another label has this PIN"):
        pins.hashed_apart("2468", {"parents": parents, "Zoé": zoe})

    def ask(pin: str, *hashes: str) -> int | None:
        question = pins.find_question(pin, hashes)
        assert pin not in " ".join(pins.COMMAND)
        return pins.found(subprocess.run(pins.COMMAND, input=question, capture_output=True, check=True).stdout)

    assert ask("97531", "no hash", zoe, parents) == 2
    assert ask("2469", zoe, parents) is None
    assert ask("2468", "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", zoe) == 1, (
        "a hash that wants 4 GiB is none"
    )


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b"nonsense", b'{"hash": "x"}'])
def test_a_process_that_failed_lets_nobody_in(answer: bytes) -> None:
    with pytest.raises(PinError):
        pins.found(answer)


@pytest.mark.parametrize("answer", [b'{"place": -1}', b'{"place": null}', b'{"place": "0"}'])
def test_an_answer_that_names_no_place_lets_nobody_in(answer: bytes) -> None:
    assert pins.found(answer) is None


def test_wrong_pins_cost_a_wait_that_doubles_and_a_right_one_ends_it() -> None:
    gate, now = Gate(), 0.0
    waits = []
    for _ in range(14):
        while (wait := gate.admit(1, now)) > 0:
            waits.append(round(wait))
            now += wait
    assert waits[:4] == [30, 60, 120, 240]
    assert max(waits) == MOST_WAIT_SECONDS
    assert gate.admit(2, now) == 0.0, "another line does not pay for it"
    gate.right(1)
    assert [gate.admit(1, now) for _ in range(FREE_FAILURES)] == [0.0] * FREE_FAILURES
    assert gate.admit(1, now) > 0
    assert gate.admit(1, now + FORGET_SECONDS + 1) == 0.0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=400))
def test_a_day_of_guessing_tries_few_pins_however_it_is_spread(pauses: list[float]) -> None:
    gate, now, tried = Gate(), 0.0, 0
    for pause in pauses:
        now += pause
        tried += gate.admit(1, now) == 0.0
    assert tried <= FREE_FAILURES + 8  # 30 s, 1, 2, 4, 8, 16 min in half an hour
