"""A provider's price list in a real Chromium: upload, columns, preview, yes, and the price that a number has then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from firmware.webui import rate_import
from tests.fakes.box_service import FakeBox, FakeMail
from tests.fakes.page_server import Served, lived_in, served
from tests.system.test_page_browser import chromium, complaints, field, fill, log_in, press, sees, size

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

# As a provider writes it: a title, its own words, cents, ranges, a decimal comma, what no name tells.
LIST = (
    "Grille tarifaire au 1er janvier;;;;\n"
    "Zone d'appel;Racines;Coût unitaire;Facturation;Remarque\n"
    "France fixe;331-335, 339;3,5;1/1;\n"
    "France mobile;336, 337;9,9;1/1;sauf MVNO\n"
    "Royaume-Uni;0044;1,2;60/60;\n"
    "États-Unis et Canada;+1;gratuit;1/1;\n"
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    box = FakeBox()
    lived_in(box, tmp_path)
    with served(box, FakeMail(), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with chromium() as driver:
        yield driver


def choose(driver: WebDriver, place: int, words: str) -> None:
    Select(field(driver, f"column-{place}")).select_by_visible_text(words)


def upload(driver: WebDriver, house: Served, path: Path) -> None:
    driver.get(f"{house.url}/rates/")
    field(driver, "file").send_keys(str(path))
    fill(driver, name="demo")
    press(driver, "Vérifier le fichier")


def fits(driver: WebDriver) -> None:
    wide = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1], driver.current_url


def test_a_price_list_is_mapped_once_previewed_accepted_and_priced(
    browser: WebDriver, house: Served, tmp_path: Path
) -> None:
    source = tmp_path / "Grille 2027.csv"
    source.write_text(LIST, encoding="cp1252")
    size(browser, 390, 800)
    log_in(browser, house)
    upload(browser, house, source)
    sees(browser, "Que contient chaque colonne ?")
    sees(browser, "331-335, 339")
    fits(browser)
    press(browser, "Vérifier le fichier")
    sees(browser, "Il manque encore")
    choose(browser, 0, "destination")
    choose(browser, 1, "préfixe (indicatif)")
    choose(browser, 2, "prix par minute, en centimes")
    press(browser, "Vérifier le fichier")
    sees(browser, "10 lignes")
    sees(browser, "Vos propres appels des 31 derniers jours")
    sees(browser, "Ce qui change")
    assert browser.find_element(By.CSS_SELECTOR, "#again .figure").text[0] in "+\u2212"
    fits(browser)
    assert house.box.decks_in_use[0]["rows"] == 7, "nothing is in use before yes"
    press(browser, "Mettre en service")
    sees(browser, "3,5 c/min")
    sees(browser, "9,9 c/min")
    fits(browser)

    upload(browser, house, source)
    sees(browser, "10 lignes")  # asked once
    sees(browser, "±0,00 €")
    press(browser, "Annuler")
    sees(browser, "Rien n’a été modifié")
    assert complaints(browser) == []


def test_a_large_file_shows_how_far_it_is_and_then_what_it_holds(
    browser: WebDriver, house: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_import, "PATIENCE_SECONDS", 0.1)
    source, chance = tmp_path / "gros.csv", random.Random(2010)  # noqa: S311 - the same file each time
    with source.open("w", encoding="utf-8") as file:
        file.write("prefix,destination,rate_per_minute\n")
        file.writelines(f"{at},To {at % 500},0.{chance.randrange(10_000):04}\n" for at in range(10**6, 10**6 + 120_000))
    log_in(browser, house)
    upload(browser, house, source)
    sees(browser, "Le fichier est en cours de lecture.")
    assert browser.find_elements(By.CSS_SELECTOR, "progress[max='100']")
    sees(browser, "120000 lignes")
    sees(browser, "Mettre en service")
    assert complaints(browser) == []


def test_a_price_list_is_taken_in_without_javascript(house: Served, tmp_path: Path) -> None:
    source = tmp_path / "grille.csv"
    source.write_text("Racines;Destination;Prix (ct/min)\n33;France;4\n", encoding="utf-8")
    with chromium(javascript=False) as driver:
        log_in(driver, house)
        upload(driver, house, source)
        sees(driver, "Que contient chaque colonne ?")
        choose(driver, 0, "préfixe (indicatif)")
        press(driver, "Vérifier le fichier")
        sees(driver, "Ce qui change")
        press(driver, "Mettre en service")
        sees(driver, "4 c/min")
