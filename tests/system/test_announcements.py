"""Money as the handset hears it, with a real core, a simulated telephone and real peers: before, during, at the end."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.offline import offline
from firmware.rates.deck import import_csv
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Baresip, Kamailio, wait_until
from tests.system.speech_score import Samples, read
from tests.system.test_call_waiting import says
from tests.system.test_first_calls import NUMBER, USERS, account

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

MOBILE, BROKEN = "0612345678", "0142685399"
PREMIUM, PIN = "0892700000", "2113"
FAR_HZ, BEEP_HZ = 500, 800
WARNINGS = (4, 2)
# Ten seconds at a fifth of a cent; a cut is never early, so that it costs the second in which it falls.
BUDGET, LIMIT, SPENT = Decimal("0.0200"), 10, Decimal("0.0220")
DECKS = {
    "home": "3314,France fixed,0.34,0.18,1,1\n336,France mobile,0.12,0,1,1\n3389,France premium,0.80,0,60,60\n",
    "spare": "3314,France fixed,0.80,0.18,1,1\n",
}


class House:
    """One box with two accounts and their decks, a budget, and Bob, who answers with a steady tone."""

    def __init__(self, box: RunningBox, bob: Baresip) -> None:
        self.box, self.bob = box, bob

    def invites(self) -> set[str]:
        """The calls that have left the box so far, by the SIP messages that it sent."""
        sent = [row for row in self.box.client.trace(200) if row["outgoing"] and row["summary"].startswith("INVITE")]
        return {row["call_id"] for row in sent}

    def dial(self, number: str = NUMBER) -> None:
        """Lift, and dial."""
        self.box.phone.lift()
        self.box.phone.wait("dial-tone", 10)
        self.box.phone.dial(number)

    def idle(self) -> None:
        """The handset hung up, whatever a test before it did."""
        self.box.phone.hangup()
        self.box.state("idle")


def priced(box: RunningBox, folder: Path) -> None:
    """Each account's deck, imported and in use before the core starts."""
    for name, rows in DECKS.items():
        file = folder / f"{name}.csv"
        head = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment\n"
        file.write_text(head + rows)
        report = import_csv(file, box.data / "decks", name, currency="EUR")
        assert report.file is not None, report.lines()
        with offline(box.data) as office:
            office.activate_deck(report.file.name, report.name, name)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    voice = says(folder / "far.wav", FAR_HZ)
    settings = {"calls.warn_seconds": ",".join(map(str, WARNINGS))}
    bobs = {"+33142685300": "bob", "+33612345678": "bob"}
    with (
        Kamailio(USERS, aliases=bobs, responses={"+33142685399": 503}) as registrar,
        Kamailio(USERS) as other,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", audio=voice) as bob,
    ):
        box = RunningBox(account(registrar), account(other, name="spare"), settings=settings)
        priced(box, folder)
        with box:
            box.wait_registered("home")
            box.wait_registered("spare")
            yield House(box, bob)


def strength(samples: Samples, hertz: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The amplitude of a frequency in each 20 ms."""
    pieces = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float)
    return np.asarray(np.abs(pieces @ np.exp(-2j * np.pi * hertz * np.arange(160) / 8000)) / 80)


def speechlike(samples: Samples) -> bool:
    """Loud and soft by turns, and of no single frequency: words, not a tone and not silence."""
    pieces = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float)
    power = (pieces**2).mean(axis=1)
    loud = power > power.max() / 100
    steps = np.count_nonzero(np.diff(loud.astype(int)))
    spectrum = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    return bool(power.max() > 1e5 and steps >= 4 and spectrum.max() < 0.2 * spectrum.sum())


def test_the_price_is_heard_before_the_invite_a_hash_shortens_it_and_hanging_up_sends_none(
    house: House, tmp_path: Path
) -> None:
    box, bob = house.box, house.bob
    before = house.invites()
    house.dial()
    box.state("announcing")
    box.phone.record(tmp_path / "price.wav", 2.5)
    assert house.invites() == before
    assert speechlike(read(tmp_path / "price.wav"))
    box.phone.dial("#")
    bob.wait("CALL_ESTABLISHED")
    box.state("talking")
    house.idle()

    house.dial()
    box.state("announcing")
    box.phone.wait("voice", 10)
    house.idle()
    (record, answered, *_) = box.calls(2)
    assert (record["end"], record["seconds"], record["answered"], record["call_id"]) == ("declined", 0, None, "")
    assert answered["end"] == "caller"
    time.sleep(0.5)
    assert len(house.invites() - before) == 1


def test_after_all_its_words_the_call_goes_by_itself(house: House) -> None:
    box = house.box
    before = house.invites()
    house.dial()
    box.state("announcing")
    began = time.monotonic()
    wait_until(lambda: house.invites() != before, 30, "the call to go by itself")
    assert time.monotonic() - began > 1.5, "nobody can have heard the price"
    box.state("talking")
    house.idle()


def test_a_call_near_its_end_is_warned_over_the_voice_then_cut_and_the_next_refused(
    house: House, tmp_path: Path
) -> None:
    box = house.box
    mobiles = [row for row in box.client.calls({"limit": 200}) if row["class"] == "mobile"]
    spent = sum((Decimal(row["cost"] or 0) for row in mobiles), Decimal(0))
    box.client.change_setting("calls.caps", f"class:mobile day {spent + BUDGET}")
    heard_before = len(house.bob.heard())
    house.dial(MOBILE)
    box.state("talking")
    time.sleep(LIMIT - WARNINGS[0] - 1)
    box.phone.record(tmp_path / "ear.wav", WARNINGS[0] + 2.5)
    box.state("treatment", 20)
    house.idle()
    record = box.calls()[0]
    assert record["end"] == "credit"
    assert BUDGET <= Decimal(record["cost"] or 0) <= SPENT
    with contextlib.closing(sqlite3.connect(f"file:{box.data}/box.db?mode=ro", uri=True)) as database:
        ((lasted,),) = database.execute("SELECT duration_ms FROM calls WHERE id = ?", (record["id"],))
    assert 1000 * LIMIT <= lasted < 1000 * (LIMIT + 1), "cut early, or more than a second late"
    ear = read(tmp_path / "ear.wav")
    beeps, far = strength(ear, BEEP_HZ), strength(ear, FAR_HZ)
    over = np.flatnonzero(far > 0.7 * np.median(far[5:25]))[-1]  # neither under words nor in words
    loud = np.flatnonzero(beeps[:over] > beeps[:over].max() / 2)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 50) + 1)
    assert len(groups) == len(WARNINGS), [group / 50 for group in groups]
    # From one warning to the next, and from the last to the cut, by the samples' own clock.
    assert (groups[1][0] - groups[0][0]) / 50 == pytest.approx(WARNINGS[0] - WARNINGS[1], abs=0.5)
    assert WARNINGS[1] - 0.3 < (over - groups[1][0]) / 50 < WARNINGS[1] + 1
    assert far[groups[0][0] + 2] > far.max() / 8, "the voice went on under the beep"
    said = np.concatenate([read(path) for path in house.bob.heard()[heard_before:]] or [np.zeros(8000, np.int16)])
    # Behind the call's beginning, in which the canceller still learns the line.
    leaked = strength(said[6000:], BEEP_HZ).max() / beeps.max()
    assert leaked < 0.1, f"the far end heard the beep, at {leaked:.3f} of its strength"

    # Nothing is left of the budget now: the next call is refused, in words.
    wait_until(lambda: "announcements ready" in box.log(), 60, "the announcements to be spoken")
    before = house.invites()
    house.dial(MOBILE)
    box.state("treatment")
    box.phone.record(tmp_path / "why.wav", 2)
    assert speechlike(read(tmp_path / "why.wav"))
    house.idle()
    assert box.calls()[0]["end"] == "refused"
    assert house.invites() == before


def test_an_emergency_number_dialled_into_the_price_goes_out(house: House) -> None:
    box = house.box
    house.dial()
    box.state("announcing")
    box.phone.wait("voice", 10)
    time.sleep(1)
    box.phone.dial("112")
    wait_until(lambda: box.client.status()["lines"][0]["number"] == "112", 10, "112 to be called")
    house.idle()
    record = box.calls(2)[0]
    assert (record["dialled"], record["class"]) == ("112", "emergency")


def test_another_account_is_announced_at_its_own_price_before_its_invite(house: House) -> None:
    box = house.box
    before = house.invites()
    house.dial(BROKEN)
    box.state("announcing")
    box.phone.wait("voice", 10)
    assert house.invites() == before
    box.phone.dial("#")
    wait_until(lambda: house.invites() != before, 10, "the first account to be asked")
    box.state("announcing")
    box.phone.wait("voice", 10)
    time.sleep(0.5)
    assert len(house.invites() - before) == 1, "the dearer account was asked before its price was heard"
    house.idle()
    assert box.calls()[0]["end"] == "declined"


def test_a_pin_by_tone_and_by_dial_opens_what_is_barred_and_its_price_is_told_then(house: House) -> None:
    box = house.box
    wait_until(lambda: "announcements ready" in box.log(), 60, "the announcements to be spoken")
    box.client.set_pin("Zoé", PIN, ["premium"], [])
    before = house.invites()
    house.dial(PREMIUM)
    box.state("pin")
    box.phone.wait("voice", 10)
    assert house.invites() == before
    box.phone.dial("2580#")
    box.phone.wait("voice", 30)  # it is asked for again: digits and the comparing are silent
    box.state("pin")
    box.phone.dial(PIN, pulse=True)
    box.phone.dial("#")
    box.state("announcing", 30)
    box.phone.wait("voice", 10)
    assert house.invites() == before
    box.phone.dial("#")
    wait_until(lambda: house.invites() != before, 10, "the call to leave")
    house.idle()
    record = box.calls()[0]
    assert (record["dialled"], record["pin"], record["class"]) == (PREMIUM, "Zoé", "premium")
    for name in ("core", "telephone"):
        assert PIN not in (box.data / f"{name}.log").read_text()
