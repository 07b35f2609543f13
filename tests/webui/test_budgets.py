"""The page's budgets: caps with what is spent, what may be called, PINs; refusals beside their fields."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import pytest

from firmware.rates.usage import Spent
from firmware.service import AlertRow
from tests.fakes.box_service import FakeBox
from tests.fakes.page_client import Owner


def test_budgets_are_one_click_from_home(owner: Owner) -> None:
    assert owner.get("/").text.count('href="/budgets/"') >= 2
    text = owner.get("/budgets/").text
    assert "Aucun plafond" in text
    assert "Les urgences et les numéros gratuits fonctionnent toujours" in text


def test_a_cap_shows_what_is_spent_and_how_near_its_end_is(owner: Owner, box: FakeBox) -> None:
    box.calls_settings = {"caps": ["all month 20.00", "class:premium day 5 60min", "line:2 week 10min"]}
    box.spent = {
        "all month 20.00": Spent(Decimal("3.2"), 600),
        "class:premium day 5 60min": Spent(Decimal("4.2"), 2700, Decimal("0.4"), 61),
        "line:2 week 10min": Spent(Decimal(9), 600),
    }
    text = owner.get("/budgets/").text.replace("\u00a0", " ").replace("\u202f", " ")
    assert "3,20 € sur 20,00 €" in text
    assert "4,20 € sur 5,00 €, 45 sur 60 min" in text
    assert "Les appels en cours peuvent encore coûter 0,40 €, 2 min." in text
    assert "10 sur 10 min" in text
    for mood, width in (("well", 32), ("near", 168), ("full", 200)):
        assert f"gauge-{mood}" in text
        assert f'class="gone" width="{width}"' in text
    assert "style=" not in text


def test_caps_are_set_replaced_and_removed(owner: Owner, box: FakeBox) -> None:
    for typed in (
        {"scope": "all", "period": "month", "money": "20,00", "minutes": ""},
        {"scope": "line:1", "period": "day", "money": "", "minutes": "60"},
        {"scope": "all", "period": "month", "money": "15 €", "minutes": "300"},
    ):
        assert "Enregistré" in owner.follow(owner.post("/budgets/caps", typed)).text
    assert box.calls_settings["caps"] == ["line:1 day 60min", "all month 15 300min"]
    assert "supprimé" in owner.follow(owner.post("/budgets/caps/remove", {"cap": "line:1 day 60min"})).text
    assert box.calls_settings["caps"] == ["all month 15 300min"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"money": "", "minutes": ""}, "Donnez un montant"),
        ({"money": "vingt", "minutes": ""}, "Ce n’est pas un montant"),
        ({"money": "1e9", "minutes": ""}, "Ce n’est pas un montant"),
        ({"money": "", "minutes": "1,5"}, "Des minutes entières"),
        ({"money": "5", "minutes": "", "scope": "class:free"}, "dans les listes"),
        ({"money": "5", "minutes": "", "scope": "all month 1,line:1"}, "dans les listes"),
        ({"money": "5", "minutes": "", "period": "year"}, "dans les listes"),
    ],
)
def test_a_cap_that_is_none_is_told_beside_its_field(
    owner: Owner, box: FakeBox, typed: dict[str, str], says: str
) -> None:
    response = owner.post("/budgets/caps", {"scope": "all", "period": "day", **typed})
    assert response.status_code == 422
    assert says in response.text
    assert not box.calls_settings


def test_what_may_be_called_is_ticked_and_typed(owner: Owner, box: FakeBox) -> None:
    typed = {"fixed": "yes", "premium": "yes", "numbers": "36 39, 0892*", "longest": "120"}
    assert "Enregistré" in owner.follow(owner.post("/budgets/allowed", typed)).text
    assert box.calls_settings["allow"] == ["fixed", "premium"]
    assert box.calls_settings["allow_numbers"] == ["3639", "0892*"]
    assert box.calls_settings["longest_minutes"] == 120
    text = owner.get("/budgets/").text
    assert 'name="premium" type="checkbox" value="yes" checked' in text
    assert 'name="satellite" type="checkbox" value="yes">' in text
    assert 'value="3639, 0892*"' in text
    wrong = owner.post("/budgets/allowed", {"numbers": "mamie", "longest": "x"})
    assert wrong.status_code == 422
    assert "«\u00a0mamie\u00a0» n’est pas un numéro" in wrong.text
    assert "Des minutes entières" in wrong.text
    assert box.calls_settings["allow_numbers"] == ["3639", "0892*"], "nothing is half-applied"


def test_a_pin_is_made_and_changed_and_its_digits_never_come_back(owner: Owner, box: FakeBox) -> None:
    made = {"label": "Zoé", "pin": "2468", "pin_premium": "yes", "pin_numbers": "0892*"}
    assert "Enregistré" in owner.follow(owner.post("/budgets/pins", made)).text
    assert (box.pins[0]["label"], box.pins[0]["classes"], box.pins[0]["numbers"]) == ("Zoé", ["premium"], ["0892*"])
    text = owner.get("/budgets/").text
    assert "2468" not in text
    assert "pin:Zoé" in text, "its calls may be capped"
    assert "Enregistré" in owner.follow(owner.post("/budgets/pins", {"label": "Zoé", "pin_satellite": "yes"})).text
    assert box.pins[0]["classes"] == ["satellite"]
    assert box.pins[0]["hash"] == "$argon2id$of-2468"
    assert "oublié" in owner.follow(owner.post("/budgets/pins/remove", {"label": "Zoé"})).text
    assert box.pins == []


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"label": "", "pin": "2468"}, "Dites de qui"),
        ({"label": "Max"}, "a besoin de ses chiffres"),
        ({"label": "Max", "pin": "1234"}, "ni tous pareils ni à la suite"),
        ({"label": "a/b", "pin": "2468"}, "Un nom a au plus 40"),
        ({"label": "Max", "pin": "2468", "pin_numbers": "tout"}, "«\u00a0tout\u00a0» n’est pas un numéro"),
    ],
)
def test_a_pin_that_will_not_do_is_told_beside_its_field(
    owner: Owner, box: FakeBox, typed: dict[str, str], says: str
) -> None:
    response = owner.post("/budgets/pins", typed)
    assert response.status_code == 422
    assert says in response.text
    assert box.pins == []
    assert "2468" not in response.text


def test_a_hostile_label_stays_text(owner: Owner, box: FakeBox) -> None:
    box.pins = [{"label": "x", "hash": "", "classes": [], "numbers": []}]
    box.calls_settings = {"caps": ["pin:<script>alert(1)</script> day 5"]}
    text = owner.get("/budgets/").text
    assert "<script>alert" not in text
    assert "Ses chiffres sont à redonner" in text


def test_sums_that_cannot_be_read_are_said_so(owner: Owner, box: FakeBox) -> None:
    box.unreadable = True
    box.calls_settings = {"caps": ["all month 20.00"]}
    assert "Les dépenses ne peuvent pas être lues" in owner.get("/budgets/").text


def test_the_page_speaks_english_too(app_owner_en: Owner, box: FakeBox) -> None:
    box.calls_settings = {"caps": ["class:premium month 20.00"]}
    text = app_owner_en.get("/budgets/").text
    assert "Premium numbers" in text
    assert "€0.00 of €20.00" in text


def test_what_was_told_is_listed_newest_first(owner: Owner, box: FakeBox) -> None:
    at = "2026-11-23T09:00:00Z"
    told = [
        {"id": n, "at": at, "kind": "cap", "scope": "pin", "name": "Zoé", "period": "day", "percent": 80}
        for n in range(1, 400)
    ]
    told.append({"id": 400, "at": at, "kind": "cap", "scope": "all", "name": "", "period": "month", "percent": 100})
    told.append(
        {
            "id": 401, "at": at, "kind": "refused", "number": "+33899123456", "line": 1, "name": "premium",
            "reason": "premium-barred",
        }
    )  # fmt: skip
    box.told_alerts = cast("list[AlertRow]", told)
    text = " ".join(owner.get("/budgets/").text.replace("\u00a0", " ").replace("\u202f", " ").split())
    refused = text.index("Refusé sur la ligne 1 : 0 899 12 34 56 (Numéros surtaxés)")
    assert (
        refused < text.index("Épuisé : Tous les appels, par mois") < text.index("80 % utilisés : Code de Zoé, par jour")
    )
    assert text.count("Code de Zoé, par jour") == 8
