"""Every way a call can fail is heard as something, and the page that says so is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony import causes
from firmware.telephony.events import EndedBy, Tone, Treatment, Words

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("code", "words", "tone", "ended"),
    [
        (404, Words.UNASSIGNED, Tone.CONGESTION, EndedBy.FAILED),
        (604, Words.UNASSIGNED, Tone.CONGESTION, EndedBy.FAILED),
        (486, None, Tone.BUSY, EndedBy.BUSY),
        (600, None, Tone.BUSY, EndedBy.BUSY),
        (603, None, Tone.BUSY, EndedBy.REFUSED),
        (480, Words.UNAVAILABLE, Tone.BUSY, EndedBy.NO_ANSWER),
        (408, Words.UNAVAILABLE, Tone.BUSY, EndedBy.NO_ANSWER),
        (402, Words.NO_CREDIT, Tone.CONGESTION, EndedBy.REFUSED),
        (403, Words.REFUSED, Tone.CONGESTION, EndedBy.REFUSED),
        (410, Words.NUMBER_CHANGED, Tone.CONGESTION, EndedBy.FAILED),
        (433, Words.ANONYMOUS_REFUSED, Tone.CONGESTION, EndedBy.REFUSED),
        (484, Words.INVALID_NUMBER, Tone.CONGESTION, EndedBy.FAILED),
        (488, Words.TECHNICAL, Tone.CONGESTION, EndedBy.FAILED),
        (503, Words.ALL_LINES_BUSY, Tone.CONGESTION, EndedBy.FAILED),
        (0, Words.TECHNICAL, Tone.CONGESTION, EndedBy.FAILED),
    ],
)
def test_a_status_sounds_as_a_french_exchange_would_have_it(
    code: int, words: Words | None, tone: Tone, ended: EndedBy
) -> None:
    cause = causes.explain(code)
    assert (cause.treatment, cause.ended_by) == (Treatment(tone, words), ended)


def test_the_network_behind_the_gateway_knows_better_than_the_gateway() -> None:
    assert causes.explain(503, 17).ended_by is EndedBy.BUSY
    assert causes.explain(500, 1).treatment.words is Words.UNASSIGNED
    assert causes.explain(404, 34).reroute


@pytest.mark.parametrize("nothing", [16, 31, 127, 126, 0, -1, None])
def test_a_cause_that_says_nothing_leaves_the_word_to_the_status(nothing: int | None) -> None:
    assert causes.explain(486, nothing) == causes.explain(486)


def test_our_own_cancelling_is_not_explained_by_a_cause() -> None:
    assert causes.explain(487, 102).ended_by is EndedBy.CANCELLED


def test_a_status_without_a_row_goes_by_its_class() -> None:
    assert causes.explain(399) == causes.SIP_CLASSES[3]
    assert causes.explain(499) == causes.SIP_CLASSES[4]
    assert causes.explain(599) == causes.SIP_CLASSES[5]
    assert causes.explain(699) == causes.SIP_CLASSES[6]


def test_nobody_else_is_asked_when_the_called_side_has_spoken() -> None:
    for code in (404, 410, 480, 484, 486, 487, 600, 603, 604, 607):
        assert not causes.explain(code).reroute, code


@given(st.integers(-1, 999), st.none() | st.integers(-1, 200))
def test_every_status_and_cause_is_heard(code: int, q850: int | None) -> None:
    cause = causes.explain(code, q850)
    assert cause.treatment.tone in {Tone.BUSY, Tone.CONGESTION, Tone.SIT}
    assert cause.meaning


def test_the_registered_statuses_all_have_rows_of_their_own() -> None:
    """IANA's registry of SIP response codes, final ones (2026)."""
    registered = {
        *(300, 301, 302, 305, 380),
        *range(400, 409),
        *(410, 412, 413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429, 430),
        *(433, 436, 437, 438, 439, 440, 469, 470),
        *range(480, 490),
        *(491, 493, 494),
        *(500, 501, 502, 503, 504, 505, 513, 555, 580),
        *(600, 603, 604, 606, 607, 608),
    }
    assert registered - set(causes.SIP) == set()


def test_the_pages_made_from_the_tables_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "state-diagrams.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
