"""The outbox in virtual time: what is tried when, and what each refusal does."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.webmail.account import Password
from firmware.webmail.mailstore import MAX_QUEUED, MAX_REFUSED, Cursor
from firmware.webmail.outbox import LONGEST_SECONDS, backoff, is_due
from firmware.webmail.trouble import Trouble
from tests.webmail.house import ACCOUNT, House, call, trouble


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_waits_double_from_half_a_minute_to_an_hour() -> None:
    assert [backoff(attempts, 0.5) for attempts in range(1, 10)] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_no_wait_is_shorter_than_24_seconds_or_longer_than_72_minutes(attempts: int, dice: float) -> None:
    assert 24 <= backoff(attempts, dice) <= 4320


def test_a_clock_set_back_by_years_does_not_hold_a_mail_for_years() -> None:
    assert not is_due(1000 + LONGEST_SECONDS, 1000)
    assert is_due(1_800_000_000, 1000)


def test_a_missed_call_is_one_mail_and_a_second_round_sends_nothing(house: House) -> None:
    house.miss(call(1))
    house.settle()
    house.postman.wake()
    house.settle()
    assert len(house.post.delivered) == 1
    assert house.store.counts().queued == 0


def test_a_server_that_is_down_is_asked_after_30_60_and_120_seconds_then_takes_the_mail(house: House) -> None:
    house.post.at_login.extend([trouble(Trouble.UNREACHABLE)] * 3)
    house.miss(call(1))
    waits = []
    while (wait := house.postman.step()) is not None:
        waits.append(wait)
        house.clock.advance(wait)
    assert waits == [30, 60, 120]
    assert len(house.post.delivered) == 1
    linked = house.store.linked()
    assert linked is not None
    assert (linked.trouble, linked.attempts, linked.sent) == (None, 0, 1)


def test_nothing_is_tried_before_its_time(house: House) -> None:
    house.post.at_login.append(trouble(Trouble.SLOW))
    house.miss(call(1))
    assert house.postman.step() == 30
    house.clock.advance(29)
    assert house.postman.step() == 1
    assert house.post.logins == 1


def test_a_down_server_is_asked_once_for_all_mails_not_once_for_each(house: House) -> None:
    house.post.at_login.append(trouble(Trouble.UNREACHABLE))
    house.miss(*[call(record) for record in range(1, 8)])
    house.postman.step()
    assert house.post.logins == 1
    house.settle()
    assert len(house.post.delivered) == 7


def test_a_mail_refused_for_good_is_kept_and_told_while_the_others_go(house: House) -> None:
    house.post.at_mail.extend([trouble(Trouble.MAIL_REFUSED, "550 5.1.1 no such user")])
    house.miss(call(1))
    house.settle()
    assert house.post.delivered == []
    refusal = house.store.counts().refusal
    assert refusal is not None
    assert "550 5.1.1 no such user" in refusal
    house.clock.advance(1)
    house.miss(call(2))
    house.settle()
    assert len(house.post.delivered) == 1
    assert house.store.counts().refusal is None  # all is well since


def test_a_mail_refused_for_now_waits_alone_and_the_next_one_goes(house: House) -> None:
    house.post.at_mail.extend([trouble(Trouble.MAIL_LATER, "451 greylisted")])
    house.miss(call(1), call(2))
    assert house.postman.step() == 30
    assert len(house.post.delivered) == 1
    assert "451 greylisted" in (house.store.counts().refusal or "")
    house.settle()
    assert len(house.post.delivered) == 2
    assert house.store.counts().refusal is None


def test_a_refused_login_pauses_everything_until_the_mailbox_is_linked_again(house: House) -> None:
    house.post.at_login.append(trouble(Trouble.LOGIN, "535 wrong password"))
    house.miss(call(1))
    assert house.postman.step() is None
    linked = house.store.linked()
    assert linked is not None
    assert "535 wrong password" in (linked.paused or "")
    house.clock.advance(100_000)
    house.miss(call(2))
    assert house.postman.step() is None
    assert house.post.logins == 1
    house.store.link(ACCOUNT, Cursor(99))
    house.settle()
    assert len(house.post.delivered) == 2  # both waited


def test_a_login_refused_with_an_old_password_does_not_pause_the_new_link(house: House) -> None:
    before = house.store.linked()
    assert before is not None
    house.store.link(ACCOUNT, Cursor(0))
    house.store.pause(before.generation, "535")
    after = house.store.linked()
    assert after is not None
    assert after.paused is None


def test_the_line_that_breaks_in_the_middle_leaves_the_rest_for_later(house: House) -> None:
    house.post.at_mail.extend([None, None, trouble(Trouble.UNREACHABLE)])
    house.miss(*[call(record) for record in range(1, 6)])
    assert house.postman.step() == 30
    assert len(house.post.delivered) == 2
    house.settle()
    assert len(house.post.delivered) == 5


def test_a_full_outbox_leaves_calls_in_the_journal_and_fetches_them_later(house: House) -> None:
    house.post.at_login.append(trouble(Trouble.UNREACHABLE))
    house.miss(*[call(record) for record in range(1, MAX_QUEUED + 51)])
    house.postman.step()
    assert house.store.counts().queued == MAX_QUEUED
    cursor = house.store.cursor()
    assert cursor is not None
    assert cursor.record == MAX_QUEUED
    house.settle(rounds=MAX_QUEUED)
    assert len(house.post.delivered) == MAX_QUEUED + 50


def test_refused_mails_do_not_pile_up_for_ever(house: House) -> None:
    house.post.at_mail.extend([trouble(Trouble.MAIL_REFUSED)] * (MAX_REFUSED + 10))
    house.miss(*[call(record) for record in range(1, MAX_REFUSED + 11)])
    house.settle()
    kept = house.store._db.execute("SELECT count(*) FROM outbox WHERE state = 'refused'").fetchone()[0]
    assert kept == MAX_REFUSED


def test_mails_that_wait_follow_the_mailbox_to_its_new_address(house: House) -> None:
    house.post.at_login.append(trouble(Trouble.LOGIN))
    house.miss(call(1))
    house.postman.step()
    moved = type(ACCOUNT)(
        address="jeanne@example.net", imap=ACCOUNT.imap, smtp=ACCOUNT.smtp, credential=Password("autre"), notify=""
    )
    house.store.link(moved, Cursor(99))
    house.settle()
    [(sender, recipient, message)] = house.post.delivered
    assert (sender, recipient) == ("jeanne@example.net", "jeanne@example.net")
    assert b"jeanne@example.org>" not in message.split(b"Message-ID")[0]
    assert message_from_bytes(message, policy=default)["Subject"] == "Appel manqué de 01 42 68 53 00"


def test_an_unlinked_mailbox_forgets_what_waits_its_secret_and_its_key(house: House, tmp_path: Path) -> None:
    house.post.at_login.append(trouble(Trouble.UNREACHABLE))
    house.miss(call(1))
    house.postman.step()
    assert (tmp_path / "mail.key").exists()
    house.store.unlink()
    assert house.postman.step() is None
    assert house.store.linked() is None
    assert house.store.counts().queued == 0
    assert not (tmp_path / "mail.key").exists()


def test_the_password_is_nowhere_in_the_database(house: House, tmp_path: Path) -> None:
    assert house.store.linked() is not None
    raw = (tmp_path / "mail.db").read_bytes()
    assert b"bonjour 2010" not in raw
    assert (tmp_path / "mail.db").stat().st_mode & 0o077 == 0
    assert "bonjour" not in repr(house.store.linked())


def test_a_lost_key_pauses_the_mailbox_and_nothing_is_tried(house: House, tmp_path: Path) -> None:
    (tmp_path / "mail.key").unlink()
    house.miss(call(1))
    assert house.postman.step() is None
    assert house.post.logins == 0
    linked = house.store.linked()
    assert linked is not None
    assert linked.paused is not None
