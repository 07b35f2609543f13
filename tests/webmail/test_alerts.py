"""Mails about budgets: told once, after the link, through resets, and harmless whatever was dialled."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from firmware.service import AlertRow
from firmware.webmail.alerts import budget_alert
from firmware.webmail.mailstore import AlertCursor
from firmware.webmail.messages import Household
from tests.webmail.house import ACCOUNT, House

NOW = datetime(2025, 11, 23, 7, tzinfo=UTC)
AT = "2025-11-23T06:52:10Z"


def cap(number: int, percent: int = 80, at: str = AT, **more: object) -> AlertRow:
    row: dict[str, object] = {
        "id": number, "at": at, "kind": "cap", "cap": "all month 20.00", "scope": "all", "name": "", "period": "month",
        "percent": percent, "spent": "16.0200", "spent_seconds": 5460, "money": "20.00", "minutes": None,
    }  # fmt: skip
    return row | more  # type: ignore[return-value]


def refused(number: int, dialled: str = "+33899123456", **more: object) -> AlertRow:
    row: dict[str, object] = {
        "id": number, "at": AT, "kind": "refused", "number": dialled, "line": 1, "name": "premium",
        "reason": "premium-barred",
    }  # fmt: skip
    return row | more  # type: ignore[return-value]


def subjects(house: House) -> list[str]:
    return [str(message_from_bytes(raw, policy=default)["Subject"]) for _, _, raw in house.post.delivered]


def text(row: AlertRow, language: str = "fr") -> tuple[str, str]:
    mail = budget_alert(row, ACCOUNT, Household(language=language), "device", NOW)
    message = message_from_bytes(mail.message, policy=default)
    return str(message["Subject"]), message.get_content()


def test_alerts_become_mails_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.settle()
    house.alert(cap(1), refused(2))
    house.settle()
    house.alert(cap(3, 100))
    house.settle()
    house.postman.wake()
    house.settle()
    assert subjects(house) == [
        "80 % du budget de téléphone utilisé : de tous les appels par mois",
        "Un appel a été refusé : numéros surtaxés",
        "Budget de téléphone épuisé : de tous les appels par mois",
    ]
    house.wire(house.store)
    house.postman.wake()
    house.settle()
    assert len(house.post.delivered) == 3, "nor again after a restart"


def test_what_was_told_before_the_link_is_not_mailed(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.alert(*(cap(number) for number in range(1, 300)))
    house.settle()
    assert house.post.delivered == []
    house.alert(cap(300))
    house.settle()
    assert len(house.post.delivered) == 1


def test_alerts_that_begin_anew_with_the_records_are_told_and_old_ones_are_not(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.settle()
    house.alert(*(cap(number) for number in range(1, 9)))
    house.settle()
    assert len(house.post.delivered) == 8
    house.box.told = [cap(1, at="2025-11-01T00:00:00Z"), cap(2, at="2025-11-24T00:00:00Z")]
    house.postman.wake()
    house.settle()
    assert len(house.post.delivered) == 9
    assert house.store.alert_cursor() == AlertCursor(2, "2025-11-24T00:00:00Z")


def test_an_unlinked_mailbox_forgets_how_far_it_read(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.settle()
    house.alert(cap(1))
    house.settle()
    house.store.unlink()
    assert house.store.alert_cursor() is None
    house.alert(cap(2))
    house.settle()
    assert len(house.post.delivered) == 1


def test_a_box_that_is_away_is_asked_for_alerts_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.settle()
    house.box.away = True
    house.alert(cap(1))
    house.settle()
    assert house.post.delivered == []
    house.box.away = False
    house.postman.wake(recheck=True)
    house.settle()
    assert len(house.post.delivered) == 1


def test_the_mail_says_what_is_spent_of_what_and_what_still_works() -> None:
    subject, body = text(cap(1, 100, minutes=90), "en")
    assert subject == "Telephone budget used up: of all calls a month"
    assert "Spent: 16.0200 of 20.00." in body
    assert "Used: 91 of 90 minutes." in body
    assert "Emergencies and free numbers work." in body
    subject, body = text(cap(1, 80, scope="pin", name="Zoé", period="day"))
    assert subject == "80 % du budget de téléphone utilisé : du code « Zoé » par jour"
    assert "dimanche 23 novembre 2025 à 07 h 52 : 80 % du budget du code « Zoé » par jour est utilisé." in body


def test_a_refused_call_names_number_line_and_kind() -> None:
    _, body = text(refused(1))
    assert "un appel vers 0 899 12 34 56 depuis la ligne 1 a été refusé (numéros surtaxés)" in body
    subject, _ = text(refused(1, reason="unknown-barred", name="fixed"), "en")
    assert subject == "A call was refused: unknown destinations"


@pytest.mark.parametrize("evil", ["+331\r\nBcc: all@example.org", "\u202e123", "1" * 5000, ""])
def test_whatever_was_dialled_stays_one_harmless_line(evil: str) -> None:
    row = refused(1, evil, name=evil)
    mail = budget_alert(row, ACCOUNT, Household(), "device", NOW)
    message = message_from_bytes(mail.message, policy=default)
    assert message["Bcc"] is None
    assert "\u202e" not in message.get_content()
    assert len(mail.message) < 4000
