"""PINs: what a good one is, and the process that hashes and compares them.

A PIN is kept as an argon2id hash. Computing one takes memory and time that the core has not, so it is done in a
process of its own (`python -m firmware.pins`), which reads one question on standard input and answers on standard
output: no PIN is ever on a command line, in a log or in the core's records. Those know labels. How often a line may
try is `telephony.pin_patience`'s.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

LEAST_DIGITS, MOST_DIGITS = 4, 12
APART_SECONDS = 30.0
_MEMORY_BYTES = 512 << 20
_KIB, _PASSES = 16 * 1024, 2
COMMAND = (sys.executable, "-m", "firmware.pins")


class PinError(ValueError):
    """A PIN that will not do, or that could not be looked at; in a person's words."""


def weakness(pin: str) -> str | None:
    """Why this PIN will not do; None if it will."""
    if not re.fullmatch(rf"[0-9]{{{LEAST_DIGITS},{MOST_DIGITS}}}", pin, re.ASCII):
        return f"a PIN has {LEAST_DIGITS} to {MOST_DIGITS} digits"
    steps = {(int(second) - int(first)) % 10 for first, second in itertools.pairwise(pin)}
    if steps in ({0}, {1}, {9}):
        return "one digit again and again, or digits in a row, are the first that anybody tries; choose another PIN"
    from firmware.numbering import EMERGENCY  # noqa: PLC0415 - the process that compares needs none of it

    if any(pin in numbers for numbers in EMERGENCY.values()):
        return "this is an emergency number: whoever dialled it as a PIN would call for help; choose another PIN"
    return None


def humbly() -> None:
    """In the new process, before anything else: not the core's real-time priority.

    With it the core copies itself, which holds up its threads for some milliseconds; without, it would be held until
    the other program runs, for as long as a busy machine likes (see `voiceprocess`).
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def find_question(pin: str, hashes: Sequence[str]) -> bytes:
    """Which of `hashes` is this PIN's?"""
    return json.dumps({"pin": pin, "hashes": list(hashes)}).encode()


def found(answer: bytes) -> int | None:
    """The place among the hashes, or None: no PIN of theirs. Raises PinError."""
    place = _parsed(answer).get("place")
    return place if isinstance(place, int) and place >= 0 else None


def hashed_apart(pin: str, others: Mapping[str, str]) -> str:
    """The hash of a new PIN, made in a process of its own; waits for it. Raises PinError.

    `others`: the hashes there are, by label. Two people with one PIN could not be told apart.
    """
    told = weakness(pin)
    if told is not None:
        raise PinError(told)
    question = json.dumps({"pin": pin, "hashes": list(others.values()), "make": True}).encode()
    try:
        done = subprocess.run(
            COMMAND,
            input=question,
            capture_output=True,
            timeout=APART_SECONDS,
            check=False,
            preexec_fn=humbly,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PinError(f"the PIN could not be hashed: {type(error).__name__}") from None
    answer = _parsed(done.stdout)
    place = answer.get("place")
    if isinstance(place, int) and place >= 0:
        raise PinError("another label has this PIN already; choose another")
    made = answer.get("hash")
    if not isinstance(made, str):
        raise PinError("the PIN could not be hashed")
    return made


def _parsed(answer: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(answer)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict) or "place" not in parsed:
        raise PinError("the PIN could not be looked at (the process that compares PINs failed)")
    return cast("Mapping[str, Any]", parsed)


def answer_to(question: bytes) -> bytes:
    """What the process says: the place of the hash that is this PIN's, -1 for none; with `make`, else, a new hash."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - in the process of its own alone
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

    asked = json.loads(question)
    hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_KIB, parallelism=1)
    place = -1
    for number, known in enumerate(asked["hashes"]):
        try:
            hasher.verify(known, asked["pin"])
        except (VerificationError, InvalidHashError):
            continue
        place = number
        break
    made = hasher.hash(asked["pin"]) if asked.get("make") and place < 0 else None
    return json.dumps({"place": place, "hash": made}).encode()


def main() -> None:
    """Answer one question. A hash that wants more memory than PINs are worth is none."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(APART_SECONDS), int(APART_SECONDS)))
    sys.stdout.buffer.write(answer_to(sys.stdin.buffer.read(1 << 16)))


if __name__ == "__main__":
    main()
