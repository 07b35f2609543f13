"""What the line doctor says: every finding in both languages, with its figure, in a person's words."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from firmware import doctorwords
from firmware.doctorwords import GROUPS, LANGUAGES, figure, findings, known, summary, unmeasured, words
from firmware.fxs.doctor import Recording, examine
from firmware.fxs.doctor_report import LIMITS, UNMEASURED, Grade, Item
from firmware.telephony.doctor import Ending, Step
from tests.fakes.worn_telephone import WornContacts

SIDES = {
    item: [side for side, end in (("low", limits.good[0]), ("high", limits.good[1])) if end is not None]
    for item, limits in LIMITS.items()
} | {Item.FLASH: ["low", "high"]}


def finding(item: Item, grade: Grade, side: str, value: float | None = 7.63) -> dict[str, object]:
    good = (120.0, 600.0) if item is Item.FLASH else LIMITS[item].good
    return {
        "item": item.value, "grade": grade.value, "side": side, "value": value, "unit": "", "good": list(good),
        "decimals": 1, "where": "5",
    }  # fmt: skip


def test_the_slow_dial_of_the_specification() -> None:
    told = {
        language: findings({"findings": [finding(Item.PULSE_SPEED, Grade.FAIR, "low")]}, language)[0]
        for language in LANGUAGES
    }
    assert told["fr"].sentences[0].replace("\u00a0", " ") == (
        "Le cadran est lent : 7,6 impulsions par seconde (normal : 9 à 11)."
    )
    assert told["fr"].sentences[1].startswith("La box le comprend, mais")
    assert told["en"].sentences[0] == "The dial is slow: 7.6 pulses per second (normal: 9 to 11)."
    assert (told["fr"].grade_word, told["en"].grade_word) == ("passable", "fair")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("item", Item)
def test_every_finding_has_its_sentences_and_no_gap_is_left_in_them(item: Item, language: str) -> None:
    for side, grade in [("ok", Grade.GOOD), *product(SIDES[item], (Grade.FAIR, Grade.BAD))]:
        (told,) = findings({"findings": [finding(item, grade, side)]}, language)
        assert len(told.sentences) == (1 if side == "ok" else 3)
        for sentence in (*told.sentences, told.name, told.grade_word):
            assert " " in sentence or sentence in {told.name, told.grade_word}, sentence
            assert "%(" not in sentence
            assert "%%" not in sentence
        if side != "ok" or item is not Item.CLIPPING:
            assert figure(7.63, 1, language) in told.sentences[0]


def test_every_side_that_the_measurement_can_tell_has_words() -> None:
    assert set(SIDES) == set(Item)
    assert set(GROUPS) == {item.value for item in Item}
    for item, sides in SIDES.items():
        for side in sides:
            assert known("fr", f"{item.value}.{side}"), (item, side)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_and_ending_has_words(language: str) -> None:
    for step in Step:
        assert known(language, f"step.{step.value}") or step is Step.IDLE
    for ending in Ending:
        assert known(language, f"ending.{ending.value}") or ending is Ending.DONE


def catalogue(language: str) -> dict[str, str]:
    path = Path(doctorwords.__file__).parent / "translations" / language / "LC_MESSAGES" / "doctor.po"
    with path.open("rb") as stream:
        return {str(entry.id): str(entry.string) for entry in read_po(stream) if entry.id}


def test_both_catalogues_say_the_same_things() -> None:
    french, english = catalogue("fr"), catalogue("en")
    assert french.keys() == english.keys()
    for key, said in french.items():
        assert said
        assert english[key]
        assert {name for name in ("value", "low", "high", "where") if f"%({name})s" in said} == {
            name for name in ("value", "low", "high", "where") if f"%({name})s" in english[key]
        }, key


def test_french_has_its_spaces() -> None:
    for key, said in catalogue("fr").items():
        for sign in ":;?!":
            for at, letter in enumerate(said):
                if letter == sign:
                    assert said[at - 1] in "\u00a0\u202f", (key, said)


def test_the_worst_comes_first_and_the_summary_is_of_the_worst() -> None:
    report = {
        "findings": [
            finding(Item.PULSE_SPEED, Grade.GOOD, "ok"),
            finding(Item.NOISE, Grade.FAIR, "high"),
            finding(Item.ECHO, Grade.BAD, "low"),
            finding(Item.HUM, Grade.NONE, UNMEASURED, None),
        ]
    }
    assert [told.grade for told in findings(report, "fr")] == ["bad", "fair", "good"]
    assert summary(report, "en") == ("bad", "Something is wrong: see below.")
    assert unmeasured(report, "en") == [words("en", "sound.part")]


def test_what_was_not_measured_says_why() -> None:
    hand = WornContacts()
    hand.lift()
    hand.dial("1")
    hand.hang_up()
    report = examine(Recording(edges=tuple(hand.edges))).as_json()
    told = unmeasured(report, "en")
    assert told[0] == "Dial: one pulse alone tells nothing of its speed; dial the 0."
    assert len(told) == 5
    assert summary(report, "fr")[0] == "good"
    nothing = examine(Recording()).as_json()
    assert summary(nothing, "fr")[0] == "none"
    assert len(unmeasured(nothing, "fr")) == len(set(GROUPS.values()))


@pytest.mark.parametrize(
    ("value", "decimals", "french", "english"),
    [(7.63, 1, "7,6", "7.6"), (-1.5, 1, "−1,5", "−1.5"), (-0.001, 1, "0,0", "0.0"), (270.4, 0, "270", "270")],
)
def test_figures_are_written_as_people_write_them(value: float, decimals: int, french: str, english: str) -> None:
    assert (figure(value, decimals, "fr"), figure(value, decimals, "en")) == (french, english)
