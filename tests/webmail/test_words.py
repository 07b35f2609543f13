"""The catalogues say everything that the code says, with the same places for figures and names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import firmware.webmail
from firmware.webmail.words import clean, is_plain, server_words

HOUSE = Path(firmware.webmail.__file__).parent
_PLACES = re.compile(r"%(?:\(\w+\))?0?\d*[sd]")


def spoken() -> set[str]:
    found = extract_from_dir(HOUSE, method_map=[("**.py", "python")], keywords={"_": None})
    return {str(message) for _, _, message, _, _ in found}


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_sentence_of_the_code_is_in_the_catalogue_and_no_other(language: str) -> None:
    with (HOUSE / "translations" / language / "LC_MESSAGES" / "mail.po").open("rb") as file:
        catalogue = {message.id: message.string for message in read_po(file) if message.id}
    assert set(catalogue) == spoken()
    for message, translation in catalogue.items():
        assert translation, message
        assert sorted(_PLACES.findall(str(translation))) == sorted(_PLACES.findall(str(message)))


def test_a_servers_words_lose_their_controls_and_their_excess() -> None:
    assert server_words(b"535\r\n\x1b[31mred\x07 \xff", "") == "535 [31mred �"
    assert len(server_words("x" * 10_000_000, "secret")) == 300


@pytest.mark.parametrize("said", ["no: pa ss", "no: cGEgc3M=", "no: AGplYW5uZQBwYSBzcw==", "no: AGplYW5uZQBwYSBzcw"])
def test_a_password_repeated_in_any_form_is_masked(said: str) -> None:
    assert server_words(said, "pa ss") == "no: ***"


def test_words_that_hold_no_password_stay() -> None:
    assert server_words("Authentication failed abcd1234", "pa ss") == "Authentication failed abcd1234"


def test_a_plain_line_is_one_line() -> None:
    assert is_plain("Mémé à Orléans – l’été")
    for text in ("a\nb", "a\x00", "\u202e", "\u2028", "\x85"):
        assert not is_plain(text)
        assert "\n" not in clean(text, 10)
