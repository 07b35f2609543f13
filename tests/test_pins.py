"""PINs: how good, and compared by a process that tells nobody."""

from __future__ import annotations

import subprocess

import pytest

from firmware import pins
from firmware.pins import PinError


@pytest.mark.parametrize("pin", ["", "123", "1234", "9876", "7890", "0000", "1" * 13, "12a4", "１２４６", "116117"])
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
