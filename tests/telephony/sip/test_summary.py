"""A mailbox's words (RFC 3842): what is read of them, what is not, and when they are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony.agent import MessagesWaiting
from firmware.telephony.sip.summary import Mailboxes, parse_summary


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("Messages-Waiting: yes\r\n", (True, None, None)),
        ("Messages-Waiting: no\r\n", (False, None, None)),
        # RFC 3842's own example, section 5.2.
        (
            "Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n",
            (True, 2, 8),
        ),
        ("messages-waiting : YES\nvoice-message:4/0", (True, 4, 0)),
        ("Voice-Message: 0/3\r\nMessages-Waiting: no", (False, 0, 3)),
        ("Messages-Waiting: yes\r\nFax-Message: 1/0\r\n", (True, None, None)),
        ("Messages-Waiting: yes\r\nVoice-Message: 999999/0\r\n", (True, None, None)),
        ("Messages-Waiting: yes\r\nVoice-Message: -1/0\r\n", (True, None, None)),
        ("Messages-Waiting: yes\r\nMessages-Waiting: no\r\n", (True, None, None)),
    ],
)
def test_what_waits_is_read(body: str, wanted: tuple[bool, int | None, int | None]) -> None:
    assert parse_summary("home", body) == MessagesWaiting("home", *wanted)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Voice-Message: 2/8",
        "Messages-Waiting: perhaps",
        "Messages-Waiting",
        "\r\n" * 60 + "Messages-Waiting: yes",
        "x" * 3000 + "\r\nMessages-Waiting: yes",
    ],
)
def test_a_body_that_does_not_say_says_nothing(body: str) -> None:
    assert parse_summary("home", body) is None


@given(st.text(max_size=400), st.text(max_size=20))
def test_no_body_makes_it_stumble(noise: str, value: str) -> None:
    for body in (noise, f"Messages-Waiting: yes\nVoice-Message: {value}/{value}\n{noise}"):
        told = parse_summary("home", body)
        assert told is None or told.new is None or 0 <= told.new <= 99_999


def test_only_changes_are_told_and_a_mailbox_that_nobody_watches_is_empty() -> None:
    told: list[MessagesWaiting] = []
    boxes = Mailboxes(told.append)
    for body in (
        "Messages-Waiting: yes",
        "nonsense",
        "Messages-Waiting: yes",
        "Messages-Waiting: yes\nVoice-Message: 1/0",
    ):
        boxes.hear("home", body)
    boxes.hear("work", "Messages-Waiting: no")
    boxes.keep(["home", "work"])
    boxes.keep([])
    boxes.keep([])
    assert [(one.account, one.waiting, one.new) for one in told] == [
        ("home", True, None),
        ("home", True, 1),
        ("work", False, None),
        ("home", False, None),
    ]
