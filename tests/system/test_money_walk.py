"""From a provider's price list to the bill: a browser, a handset, two providers, and every sum worked out by hand."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
from tests.system.speech_score import read
from tests.system.test_announcements import BEEP_HZ, strength
from tests.system.test_first_calls import NUMBER, USERS, account
from tests.system.test_page_browser import chromium, complaints, field, fill, press, sees, size

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

PAGE_PASSWORD = "le chat dort bien"
FAILING = "0112111121"  # by the cheap provider, who answers 503; few pulses, for it is dialled by a dial
# The cheap provider's list, in its own words: 60 cents a minute by the second, so that each second is seen in the bill.
LIST = "Grille tarifaire;;;\nZone d'appel;Racines;Coût unitaire;Facturation\nFrance fixe;331-335, 339;60;1/1\n"
CHEAP_A_SECOND = Decimal("0.01")
# The dear one: 1.20 EUR for each begun minute.
DEAR = "prefix,destination,rate_per_minute,first_increment,next_increment\n331,France fixed,1.20,60,60\n"
DEAR_CALL = Decimal("1.20")
# What the cap leaves for the last call: 10 cents, 10 seconds of the cheap provider's. For less, no call is placed
# (`budget.LEAST_SECONDS`). It is warned 2 s before.
LEFT, LIMIT, WARNING = Decimal("0.10"), 10, 2
# The peer sees the ACK a moment after the box saw the answer, from which it counts.
ACK_SECONDS = 0.1


def dear_deck(box: RunningBox, folder: Path) -> None:
    """The dear account has its deck before the core starts."""
    file = folder / "dear.csv"
    file.write_text(DEAR)
    report = import_csv(file, box.data / "decks", "dear")
    assert report.file is not None, report.lines()
    with offline(box.data) as office:
        office.activate_deck(report.file.name, report.name, "spare")


def begin(browser: WebDriver, url: str) -> None:
    """The first start: a password is chosen; out, and in by it; on a telephone's screen from then on."""
    size(browser, 1280, 900)
    browser.get(f"{url}/")
    for entry in browser.find_elements(By.CSS_SELECTOR, "input[type=password]"):
        entry.send_keys(PAGE_PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main form button").click()
    sees(browser, "Le téléphone est raccroché")
    press(browser, "Se déconnecter")
    sees(browser, "Allô ?")
    fill(browser, password=PAGE_PASSWORD)
    press(browser, "Entrer")
    sees(browser, "Le téléphone est raccroché")
    size(browser, 390, 800)


def take_in(box: RunningBox, browser: WebDriver, url: str, source: Path) -> None:
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
    sees(browser, "Pour home.")
    assert [deck["name"] for deck in box.client.decks()] == ["dear"], "in use before yes"
    press(browser, "Mettre en service")
    sees(browser, "60 c/min")


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
    box.phone.dial(number, pulse=pulse, pause=450 if pulse else None)  # a quick finger
    answering.wait("CALL_ESTABLISHED", 30)
    box.state("talking")
    box.phone.record(box.data / "ear.wav", 2)
    box.phone.hangup()
    box.state("idle")
    box.calls(count + 1)


def cut(box: RunningBox, answering: Baresip, cap: Decimal, browser: WebDriver, url: str) -> float:
    """Set a cap on the page, call until it ends the call; the seconds that the peer saw the call last.

    baresip tells no times: its events are timed as they come, with nothing else done meanwhile.
    """
    browser.get(f"{url}/budgets/")
    fill(browser, money=f"{cap:f}".replace(".", ","))
    press(browser, "Enregistrer")
    sees(browser, "Enregistré.")
    before = len(answering.events())
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    with ThreadPoolExecutor(1) as hand:
        dialled = hand.submit(box.phone.dial, NUMBER)
        answering.wait("CALL_ESTABLISHED", 30, after=before)
        began = time.monotonic()
        dialled.result()
        heard = box.phone.begin_record(box.data / "warned.wav", LIMIT - 1)
        answering.wait("CALL_CLOSED", LIMIT + 20, after=before)
        lasted = time.monotonic() - began
        heard.result()
    box.state("treatment")
    box.phone.hangup()
    box.state("idle")
    return lasted


def page_rows(browser: WebDriver, path: str) -> list[dict[str, str]]:
    """A CSV file of the page's, as a French spreadsheet reads it."""
    script = "const done = arguments[1]; fetch(arguments[0]).then(a => a.text()).then(done, e => done(String(e)))"
    return list(csv.DictReader(io.StringIO(browser.execute_async_script(script, path)), delimiter=";"))


def euros(amount: Decimal) -> str:
    """As the page writes it."""
    return f"{amount.quantize(Decimal('0.01'), 'ROUND_HALF_UP')} €".replace(".", ",")


def taken(peer: Baresip) -> int:
    """How many calls this peer has taken."""
    return sum(event.get("type") == "CALL_ESTABLISHED" for event in peer.events())


def command(box: RunningBox, *words: str) -> str:
    """What `allobox WORDS` prints."""
    line = [sys.executable, "-m", "firmware", *words, "--data", str(box.data)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def finder(box: RunningBox, browser: WebDriver, url: str) -> None:
    """What a call would cost, by whom and why: for 90 s, 90 x 0.01 against two begun minutes of 1.20."""
    told = json.loads(command(box, "price", NUMBER, "--seconds", "90", "--json"))
    assert (told["account"], told["cost"]) == ("home", "0.9000")
    browser.get(f"{url}/rates/?number={NUMBER}&minutes=1")
    sees(browser, "par home")
    sees(browser, "0,60 €")
    browser.find_element(By.CSS_SELECTOR, "#price summary").click()
    first, second = (row.text.split() for row in browser.find_elements(By.CSS_SELECTOR, "#price ol li"))
    assert first == ["home", "0,60", "€", "·", "moins", "cher", "que", "le", "suivant"]
    assert second == ["spare", "1,20", "€"]


def two_calls(box: RunningBox, bob: Baresip, bella: Baresip) -> Decimal:
    """By tone the cheapest way; by pulse to whom the cheap provider refuses. What the first cost; the other is dear."""
    talk(box, NUMBER, bob)
    assert (taken(bob), taken(bella)) == (1, 0)
    talk(box, FAILING, bella, pulse=True)
    assert (taken(bob), taken(bella)) == (1, 1)
    tried = [row["summary"] for row in box.client.trace(200) if not row["outgoing"]]
    assert any(summary.startswith("503") for summary in tried), "the cheap provider was not asked first"
    repriced, cheapest = box.calls(2)[:2]
    assert (cheapest["account"], cheapest["destination"]) == ("home", "France fixe")
    assert 2 <= cheapest["billed_seconds"] <= 60
    cost = cheapest["billed_seconds"] * CHEAP_A_SECOND
    assert Decimal(str(cheapest["cost"])) == cost
    assert (repriced["account"], repriced["destination"]) == ("spare", "France fixed")
    assert (repriced["billed_seconds"], Decimal(str(repriced["cost"]))) == (60, DEAR_CALL)
    return cost


def capped_call(box: RunningBox, bob: Baresip, spent: Decimal, browser: WebDriver, url: str) -> Decimal:
    """A cap of what is spent and 10 cents more: ten seconds. What the call cost.

    A cut is never early and at most 1 s late, and costs the second in which it falls: 10 or 11 cents.
    """
    lasted = cut(box, bob, spent + LEFT, browser, url)
    ended = box.calls(3)[0]
    assert LIMIT - ACK_SECONDS <= lasted <= LIMIT + 1, f"cut after {lasted:.3f} s"
    assert (ended["account"], ended["end"]) == ("home", "credit")
    assert ended["billed_seconds"] in {LIMIT, LIMIT + 1}
    cost = ended["billed_seconds"] * CHEAP_A_SECOND
    assert Decimal(str(ended["cost"])) == cost
    beeps = strength(read(box.data / "warned.wav"), BEEP_HZ)
    assert beeps.max() > 1000 > 5 * beeps[: 50 * (LIMIT - WARNING - 1)].max(), "not one beep, before the end"
    return cost


def billed(box: RunningBox, folder: Path, by_account: dict[str, Decimal]) -> None:
    """`allobox bill` and its CSV say these sums and their total."""
    total = sum(by_account.values(), Decimal(0))
    bill = json.loads(command(box, "bill", "--by", "account", "--json"))
    assert [(row["currency"], Decimal(row["cost"])) for row in bill["totals"]] == [("EUR", total)]
    assert {row["account"]: Decimal(row["cost"]) for row in bill["groups"]} == by_account
    command(box, "bill", "--by", "call", "--csv", str(folder / "bill.csv"))
    with (folder / "bill.csv").open(encoding="utf-8-sig", newline="") as file:
        assert sum(Decimal(row["cost"]) for row in csv.DictReader(file)) == total


def shown(browser: WebDriver, url: str, calls: list[tuple[str, str, Decimal]]) -> None:
    """The page's list, bill and CSV say these calls, newest first: account, destination, cost."""
    browser.get(f"{url}/calls/")
    rows = browser.find_elements(By.CSS_SELECTOR, ".calls .call")
    for row, (_account, place, cost) in zip(rows, calls, strict=True):
        assert place in row.text
        assert row.find_element(By.CSS_SELECTOR, ".cost").text.replace("\u00a0", " ") == euros(cost)
    browser.get(f"{url}/bill/")
    figure = browser.find_element(By.CSS_SELECTOR, ".bill-totals .figure").text.replace("\u00a0", " ")
    assert figure == euros(sum((cost for *_, cost in calls), Decimal(0)))
    sums: dict[str, Decimal] = {}
    for account_name, place, cost in calls:
        for name in (account_name, place):
            sums[name] = sums.get(name, Decimal(0)) + cost
    groups = browser.find_elements(By.CSS_SELECTOR, "#by-destination tbody tr, #by-account tbody tr")
    assert {row.get_attribute("data-name"): Decimal(row.get_attribute("data-cost") or "-1") for row in groups} == sums
    sheet = page_rows(browser, "/bill/export.csv?by=call")
    assert sorted((row["compte"], row["destination"], row["coût"]) for row in sheet) == sorted(
        (name, place, f"{cost:.4f}".replace(".", ",")) for name, place, cost in calls
    )


def test_a_price_list_is_imported_the_cheapest_way_called_a_failure_repriced_and_the_bill_right_to_the_cent(
    tmp_path: Path,
) -> None:
    source = tmp_path / "grille.csv"
    source.write_text(LIST, encoding="cp1252")
    with (
        Kamailio(USERS, aliases={"+33142685300": "bob"}, responses={"+33112111121": 503}) as cheap,
        Kamailio(USERS, aliases={"+33142685300": "bob", "+33112111121": "bob"}) as dear,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{cheap.port}", audio="echo") as bob,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{dear.port}", audio="echo") as bella,
        chromium() as browser,
    ):
        # The dear account stands first: what goes by the other goes there for its price.
        settings = {"calls.warn_seconds": str(WARNING), "calls.announce_above": "off"}
        box = RunningBox(account(dear, name="spare"), account(cheap), settings=settings)
        dear_deck(box, tmp_path)
        with box:
            port = free_port()
            box.run("page", "--port", str(port))
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: box.client.status()["page"]["state"] == "up", 30, "the page")
            box.wait_registered("home")
            box.wait_registered("spare")
            begin(browser, url)
            take_in(box, browser, url, source)
            finder(box, browser, url)

            first = two_calls(box, bob, bella)
            billed(box, tmp_path, {"home": first, "spare": DEAR_CALL})
            calls = [("spare", "France fixed", DEAR_CALL), ("home", "France fixe", first)]
            shown(browser, url, calls)

            last = capped_call(box, bob, first + DEAR_CALL, browser, url)
            assert (taken(bob), taken(bella)) == (2, 1)
            billed(box, tmp_path, {"home": first + last, "spare": DEAR_CALL})
            shown(browser, url, [("home", "France fixe", last), *calls])

            # A new list at 6.60 EUR a minute, 11 cents a second: ten cents more for each second billed.
            (tmp_path / "2027.csv").write_text(LIST.replace(";60;", ";660;"), encoding="cp1252")
            assert preview(browser, url, tmp_path / "2027.csv") == f"+{euros(10 * (first + last))}"
            assert complaints(browser) == []
