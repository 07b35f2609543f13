"""Twenty numbers of each kind of dialling in real time, from the simulated telephone's contacts and keys to Kamailio.

Kamailio answers 486 to the very number that was to be dialled and 404 to every other. Three boxes
dial at once, each with its own telephone and account.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from firmware.fxs.phone_client import PhoneClient
from firmware.service import AccountDraft
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Kamailio

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

NUMBERS = 20
USERS = {"slow": "pw-slow", "fast": "pw-fast", "keys": "pw-keys"}
Dialling = Callable[[PhoneClient, str, Random], None]


def short(random: Random) -> str:
    """Four digits, none of which turns for long."""
    return "30" + "".join(random.choice("12345") for _ in range(2))


def long(random: Random) -> str:
    return "01" + "".join(random.choice("0123456789") for _ in range(8))


def target(number: str) -> str:
    """As it is called on SIP."""
    return number if len(number) == 4 else f"+33{number[1:]}"


def slowly(phone: PhoneClient, number: str, random: Random) -> None:
    phone.dial(
        number,
        pulse=True,
        pps=7.5,
        break_share=random.choice((0.5, 0.6, 0.67, 0.7)),
        bounce=5,
        jitter=0.05,
        pause=random.randint(300, 500),
    )


def fast(phone: PhoneClient, number: str, random: Random) -> None:
    phone.dial(
        number,
        pulse=True,
        pps=22,
        break_share=random.choice((0.48, 0.55, 0.62, 0.67)),
        bounce=5,
        jitter=0.03,
        pause=250,
    )


def by_keys(phone: PhoneClient, number: str, random: Random) -> None:
    """Weak, noisy, twisted and detuned, the first digit over the dial tone."""
    tones: dict[str, Any] = {
        "on": random.randint(45, 80),
        "off": random.randint(45, 80),
        "level": random.uniform(-30, -18),
        "twist": random.uniform(-6, 3),
        "noise": -58,
        "detune": random.uniform(-1.2, 1.2),
    }
    if random.random() < 0.2:  # begun on a dial
        phone.dial(number[:2], pulse=True, pps=20, pause=250)
        number = number[2:]
    phone.dial(number, **tones)


def dialled(registrar: Kamailio, user: str, numbers: list[str], how: Dialling) -> None:
    """Dial them, and compare with the box's records: the number as dialled and Kamailio's answer."""
    random = Random(user)  # noqa: S311 - which dial, no secret
    account: AccountDraft = {
        "name": user,
        "server": f"{LOOPBACK}:{registrar.port}",
        "user": user,
        "password": USERS[user],
    }
    with RunningBox(account, telephone=("--hybrid-loss", "15")) as box:
        box.wait_registered(user)
        box.phone.lift()
        for count, number in enumerate(numbers, start=1):
            box.phone.wait("dial-tone", 10)
            how(box.phone, number, random)
            box.calls(count)
            box.state("treatment")
            box.phone.flash()  # a new dial tone, sooner than by hanging up
        box.phone.hangup()
        answered = [(row["dialled"], row["sip_code"]) for row in reversed(box.calls(len(numbers)))]
        assert answered == [(number, 486) for number in numbers]


def test_twenty_numbers_of_each_kind_reach_the_registrar_digit_for_digit() -> None:
    random = Random(3)  # noqa: S311 - numbers, no secret
    lists = {
        "slow": [short(random) for _ in range(NUMBERS)],
        "fast": [long(random) if n % 3 == 0 else short(random) for n in range(NUMBERS)],
        "keys": [long(random) for _ in range(NUMBERS)],
    }
    ways: dict[str, Dialling] = {"slow": slowly, "fast": fast, "keys": by_keys}
    answers = {target(number): 486 for numbers in lists.values() for number in numbers}
    with Kamailio(USERS, responses=answers) as registrar, ThreadPoolExecutor(len(ways)) as pool:
        for run in [pool.submit(dialled, registrar, user, lists[user], way) for user, way in ways.items()]:
            run.result()
