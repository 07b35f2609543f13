"""From a provider's price list to the bill: a browser, a handset, two providers, and every sum worked out by hand."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from firmware.offline import offline
from firmware.rates.deck import import_csv
from tests.system.box import ROOT, RunningBox
from tests.system.peer_process import free_port
from tests.system.peers import LOOPBACK, Baresip, Kamailio, wait_until
from tests.system.test_first_calls import NUMBER, USERS, account
from tests.system.test_page_browser import chromium, complaints, field, fill, press, sees, size

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

PAGE_PASSWORD = "le chat dort bien"
FAILING = "0142685399"  # by the cheap provider, who answers 503
# The cheap provider's list, in its own words: 6 cents a minute by the second, that is 0.001 EUR a second.
LIST = "Grille tarifaire;;;\nZone d'appel;Racines;Coût unitaire;Facturation\nFrance fixe;331-335, 339;6;1/1\n"
CHEAP_A_SECOND = Decimal("0.001")
# The dear one: 12 cents for each begun minute.
DEAR = "prefix,destination,rate_per_minute,first_increment,next_increment\n331,France fixed,0.12,60,60\n"
DEAR_CALL = Decimal("0.1200")


def dear_deck(box: RunningBox, folder: Path) -> None:
    """The dear account has its deck before the core starts."""
    file = folder / "dear.csv"
    file.write_text(DEAR)
    report = import_csv(file, box.data / "decks", "dear")
    assert report.file is not None, report.lines()
    with offline(box.data) as office:
        office.activate_deck(report.file.name, report.name, "spare")


def begin(browser: WebDriver, url: str) -> None:
    """The first start: a password is chosen, and one is in."""
    browser.get(f"{url}/")
    for entry in browser.find_elements(By.CSS_SELECTOR, "input[type=password]"):
        entry.send_keys(PAGE_PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main form button").click()
    sees(browser, "Le téléphone est raccroché")


def take_in(browser: WebDriver, url: str, source: Path) -> None:
    """Upload, columns, preview, yes."""
    browser.get(f"{url}/rates/")
    field(browser, "file").send_keys(str(source))
    fill(browser, name="cheap")
    Select(field(browser, "account")).select_by_value("home")
    press(browser, "Vérifier le fichier")
    sees(browser, "Que contient chaque colonne ?")
    for place, words in enumerate(("destination", "préfixe (indicatif)", "prix par minute, en centimes")):
        Select(field(browser, f"column-{place}")).select_by_visible_text(words)
    press(browser, "Vérifier le fichier")
    sees(browser, "6 lignes")
    press(browser, "Mettre en service")
    sees(browser, "6 c/min")


def preview(browser: WebDriver, url: str, source: Path) -> str:
    """Upload a list of a known kind (its columns are remembered); what last month's own calls would cost more."""
    browser.get(f"{url}/rates/")
    field(browser, "file").send_keys(str(source))
    fill(browser, name="cheap")
    Select(field(browser, "account")).select_by_value("home")
    press(browser, "Vérifier le fichier")
    sees(browser, "Vos propres appels des 31 derniers jours")
    figure = browser.find_element(By.CSS_SELECTOR, "#again .figure").text
    press(browser, "Annuler")
    sees(browser, "Rien n’a été modifié")
    return figure.replace("\u00a0", " ").replace("\u202f", " ")


def talk(box: RunningBox, number: str, answering: Baresip, *, pulse: bool = False) -> None:
    """Lift, dial, talk for some seconds, hang up."""
    count = len(box.client.calls({"limit": 200}))
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    box.phone.dial(number, pulse=pulse)
    answering.wait("CALL_ESTABLISHED", 30)
    box.state("talking")
    box.phone.record(box.data / "ear.wav", 3)
    box.phone.hangup()
    box.state("idle")
    box.calls(count + 1)


def command(box: RunningBox, *words: str) -> str:
    """What `allobox WORDS` prints."""
    line = [sys.executable, "-m", "firmware", *words, "--data", str(box.data)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_price_list_is_imported_the_cheapest_way_called_a_failure_repriced_and_the_bill_right_to_the_cent(
    tmp_path: Path,
) -> None:
    source = tmp_path / "grille.csv"
    source.write_text(LIST, encoding="cp1252")
    with (
        Kamailio(USERS, aliases={"+33142685300": "bob"}, responses={"+33142685399": 503}) as cheap,
        Kamailio(USERS, aliases={"+33142685300": "bob", "+33142685399": "bob"}) as dear,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{cheap.port}", audio="echo") as bob,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{dear.port}", audio="echo") as bella,
        chromium() as browser,
    ):
        # The dear account stands first: what goes by the other goes there for its price.
        box = RunningBox(account(dear, name="spare"), account(cheap))
        dear_deck(box, tmp_path)
        with box:
            port = free_port()
            box.run("page", "--port", str(port))
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: box.client.status()["page"]["state"] == "up", 30, "the page")
            box.wait_registered("home")
            box.wait_registered("spare")
            size(browser, 390, 800)
            begin(browser, url)
            take_in(browser, url, source)

            # What a call of 90 s would cost, and by whom: 90 x 0.001 against two begun minutes of 12 cents.
            told = json.loads(command(box, "price", NUMBER, "--seconds", "90", "--json"))
            assert (told["account"], told["cost"]) == ("home", "0.0900")
            browser.get(f"{url}/rates/?number={NUMBER}&minutes=1")
            sees(browser, "home")
            sees(browser, "0,06 €")

            talk(box, NUMBER, bob)
            talk(box, FAILING, bella, pulse=True)
            repriced, cheapest = box.calls(2)[:2]
            assert (cheapest["account"], cheapest["destination"]) == ("home", "France fixe")
            assert 3 <= cheapest["billed_seconds"] <= 60
            expected = cheapest["billed_seconds"] * CHEAP_A_SECOND
            assert Decimal(str(cheapest["cost"])) == expected
            assert (repriced["account"], repriced["destination"]) == ("spare", "France fixed")
            assert (repriced["billed_seconds"], Decimal(str(repriced["cost"]))) == (60, DEAR_CALL)

            total = (expected + DEAR_CALL).quantize(Decimal("0.0001"))
            bill = json.loads(command(box, "bill", "--by", "account", "--json"))
            assert [(row["currency"], Decimal(row["cost"])) for row in bill["totals"]] == [("EUR", total)]
            assert {row["account"]: Decimal(row["cost"]) for row in bill["groups"]} == {
                "home": expected,
                "spare": DEAR_CALL,
            }
            command(box, "bill", "--by", "call", "--csv", str(tmp_path / "bill.csv"))
            with (tmp_path / "bill.csv").open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            assert sum(Decimal(row["cost"]) for row in rows) == total

            browser.get(f"{url}/calls/")
            sees(browser, "France fixe")
            browser.get(f"{url}/bill/")
            cents = total.quantize(Decimal("0.01"), "ROUND_HALF_UP")
            sees(browser, f"{cents} €".replace(".", ","))
            sees(browser, "France fixe")
            sees(browser, "France fixed")

            # A new list at 66 cents a minute, 0.011 EUR a second: ten times 0.001 more for each second billed.
            (tmp_path / "2027.csv").write_text(LIST.replace(";6;", ";66;"), encoding="cp1252")
            dearer = (10 * expected).quantize(Decimal("0.01"), "ROUND_HALF_UP")
            assert preview(browser, url, tmp_path / "2027.csv") == f"+{dearer} €".replace(".", ",")
            assert complaints(browser) == []
