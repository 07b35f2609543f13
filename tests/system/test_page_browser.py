"""The page in a real Chromium, over waitress and a fake box: a household's first evening, by eye and by hand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from firmware.webui.security import MAX_UPLOAD_BYTES
from tests.fakes.box_service import (
    GOOD_PASSWORD,
    START,
    FakeBox,
    FakeMail,
    call_row,
    line_row,
    missed_row,
    session_row,
)
from tests.fakes.page_server import PASSWORD, Served, lived_in, served
from tests.fakes.sick_telephone import report
from tests.system.peer_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--accept-lang=fr",
)  # fmt: skip
BAD_RATES = 'prefix,destination,rate_per_minute\n1,États-Unis et Canada,0\n33,France,"0,O2"\n'
GOOD_RATES = BAD_RATES.replace("O", "0")


@contextmanager
def chromium(*, javascript: bool = True) -> Iterator[WebDriver]:
    """A browser that knows nobody and asks nothing of the Internet."""
    if _CHROMIUM is None or _DRIVER is None:
        pytest.skip("chromium and chromium-driver are not installed")
    profile = tempfile.mkdtemp(prefix="allobox-chromium-", dir="/tmp")
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for argument in (*_QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(_DRIVER))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


class Window:
    """One browser for the tests of a module; another one when it answers no more."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._driver: WebDriver | None = None

    def fresh(self) -> WebDriver:
        """Without cookies, of a desk's size, nothing in its console."""
        if self._driver is not None:
            with suppress(WebDriverException):
                return self._cleared(self._driver)
            self.close()
        self._driver = self._open.enter_context(chromium())
        return self._cleared(self._driver)

    def close(self) -> None:
        with suppress(WebDriverException):
            self._open.close()

    @staticmethod
    def _cleared(driver: WebDriver) -> WebDriver:
        driver.delete_all_cookies()
        size(driver, 1280, 900)
        complaints(driver)
        return driver


@pytest.fixture(scope="module")
def shared() -> Iterator[Window]:
    window = Window()
    yield window
    window.close()


@pytest.fixture
def browser(shared: Window) -> WebDriver:
    return shared.fresh()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    """A page over a box that has been lived in."""
    box = FakeBox()
    lived_in(box, tmp_path)
    with served(box, FakeMail(), tmp_path) as running:
        yield running


@pytest.fixture
def new_house(tmp_path: Path) -> Iterator[Served]:
    """A page over a box just unpacked."""
    with served(FakeBox(decks_folder=tmp_path / "decks"), FakeMail(), tmp_path) as running:
        yield running


def size(driver: WebDriver, width: int, height: int) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )


def sees(driver: WebDriver, words: str) -> None:
    """Wait until the page shows these words."""

    def shown(browser: WebDriver) -> bool:
        try:
            text = browser.find_element(By.TAG_NAME, "main").text
        except WebDriverException as error:
            # What a page that is left takes away has no kind of its own in some moments.
            if "does not belong to the document" not in str(error):
                raise
            return False
        return words in text.replace("\u00a0", " ").replace("\u202f", " ")

    # A page that refreshes itself takes the element away while it is read.
    WebDriverWait(driver, 30, ignored_exceptions=[StaleElementReferenceException, NoSuchElementException]).until(
        shown, f"never saw {words!r}"
    )


def field(driver: WebDriver, name: str) -> WebElement:
    return driver.find_element(By.ID, name)


def fill(driver: WebDriver, **typed: str) -> None:
    for name, value in typed.items():
        field(driver, name).clear()
        field(driver, name).send_keys(value)


def press(driver: WebDriver, words: str) -> None:
    """Press the button or follow the link that says this, once the page shows it."""

    def there(browser: WebDriver) -> WebElement | None:
        for place in browser.find_elements(By.CSS_SELECTOR, "main button, main a, .wide button, .wide a"):
            if place.is_displayed() and place.text.strip() == words:
                return place
        return None

    found = WebDriverWait(driver, 15, ignored_exceptions=[StaleElementReferenceException]).until(
        there, f"there is no {words!r} to press"
    )
    assert found is not None
    found.click()


def log_in(driver: WebDriver, house: Served) -> None:
    driver.get(f"{house.url}/login")
    fill(driver, password=PASSWORD)
    press(driver, "Entrer")
    sees(driver, "Le téléphone est raccroché")


def complaints(driver: WebDriver) -> list[str]:
    """What the browser's console complains of: blocked scripts, refused styles. (422 and 404 are meant.)"""
    entries = driver.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["source"] != "network"]


def test_a_households_first_evening(browser: WebDriver, new_house: Served, tmp_path: Path) -> None:
    box = new_house.box
    browser.get(new_house.url)
    sees(browser, "Allô ? Bienvenue.")
    fill(browser, password="court", again="court")
    browser.execute_script("document.querySelector('form').noValidate = true")
    press(browser, "Commencer")
    sees(browser, "Il faut au moins 8 caractères")
    fill(browser, password=PASSWORD, again=PASSWORD)
    press(browser, "Commencer")
    sees(browser, "Le téléphone est raccroché")

    press(browser, "Comptes")
    press(browser, "Ajouter un compte")
    fill(browser, name="OVH", server="sip3.ovh.fr", user="0033972101010", password="faux-1234", number="09 72 10 10 10")
    press(browser, "Ajouter et essayer")
    sees(browser, "Le serveur dit : 403 Wrong password")
    press(browser, "Modifier")
    fill(browser, password=GOOD_PASSWORD)
    press(browser, "Enregistrer")
    sees(browser, "Le compte OVH est modifié")
    press(browser, "Essayer")
    sees(browser, "OVH : Connecté")

    press(browser, "Tarifs")
    for name, content in (("faux.csv", BAD_RATES), ("juste.csv", GOOD_RATES)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    field(browser, "file").send_keys(str(tmp_path / "faux.csv"))
    press(browser, "Vérifier le fichier")
    sees(browser, "ligne 3, colonne rate_per_minute : le prix « 0,O2 » n’est pas un nombre (lettre O ?)")
    assert box.decks_in_use == []
    press(browser, "Choisir de nouveau")
    field(browser, "file").send_keys(str(tmp_path / "juste.csv"))
    press(browser, "Vérifier le fichier")
    sees(browser, "2 lignes")
    press(browser, "Mettre en service")
    sees(browser, "2 c/min")

    press(browser, "Accueil")
    sees(browser, "Pas encore d’appel")
    box.lines = [line_row(hook="off", state="talking", number="0142685300")]  # as it was dialled
    box.tell("line")
    sees(browser, "En ligne avec 01 42 68 53 00")
    box.lines = [line_row()]
    box.rows.append(call_row(1))
    box.tell("call")
    sees(browser, "0,04 €")
    press(browser, "Appels")
    sees(browser, "1 min 23 s")
    press(browser, "Se déconnecter")
    sees(browser, "Allô ?")
    assert complaints(browser) == []


_GROUND = "return getComputedStyle(document.body).backgroundColor"


def _looks(browser: WebDriver, colour: str) -> bool:
    return bool(browser.execute_script(_GROUND) == colour)


def test_the_language_and_the_look_are_switched(browser: WebDriver, house: Served) -> None:
    log_in(browser, house)
    press(browser, "English")
    sees(browser, "The telephone is hung up")
    press(browser, "Light")
    light = browser.execute_script(_GROUND)
    press(browser, "Dark")
    wait_until(lambda: not _looks(browser, light), 15, "the page to go dark")
    dark = browser.execute_script(_GROUND)
    press(browser, "Auto")
    for preferred, expected in (("dark", dark), ("light", light)):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": preferred}]}
        )
        wait_until(partial(_looks, browser, expected), 15, f"the page to follow {preferred}")
    assert complaints(browser) == []


@pytest.mark.parametrize("width", [360, 1024])
def test_no_page_is_wider_than_the_screen(browser: WebDriver, house: Served, width: int) -> None:
    house.box.rows.append(missed_row(5000, name="W" * 128, number="+" + "9" * 120))
    house.box.kept["OVH"]["reason"] = "x" * 128
    house.box.doctor_row = session_row(
        state="done", line=1, step="over", ending="hung-up", started=START.isoformat(), report=report()
    )
    log_in(browser, house)
    size(browser, width, 740)
    deck = house.box.decks_in_use[0]["file"]
    for path in (
        "/", "/calls/", "/rates/?number=0142685300&minutes=7", f"/rates/decks/{deck}",
        f"/rates/decks/{deck}/row?prefix=33",
        "/budgets/", "/accounts/", "/accounts/add", "/accounts/OVH", "/telephone/", "/telephone/doctor/",
        "/mail/?by_hand=1", "/log/", "/log/trace",
        "/password", "/nowhere",
    ):  # fmt: skip
        browser.get(house.url + path)
        wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1] == width, path
        small = browser.execute_script(
            "return [...document.querySelectorAll('main button, main .button, main input, main select')]"
            ".filter(e => e.offsetParent && !e.classList.contains('switch') && e.type !== 'checkbox')"
            ".filter(e => e.getBoundingClientRect().height < 32).map(e => e.outerHTML.slice(0, 80))"
        )
        assert small == [], path


def test_the_menu_of_a_small_screen_leads_everywhere(browser: WebDriver, house: Served) -> None:
    log_in(browser, house)
    size(browser, 360, 740)
    for place, heading in (
        ("Appels", "Appels"),
        ("Budgets", "Budgets"),
        ("Téléphone", "Téléphone"),
        ("Journal", "Journal"),
    ):
        browser.find_element(By.CSS_SELECTOR, "details.narrow > summary").click()
        browser.find_element(By.XPATH, f"//details//a[normalize-space()='{place}']").click()
        assert browser.find_element(By.TAG_NAME, "h1").text == heading


def test_the_keyboard_is_enough(browser: WebDriver, house: Served) -> None:
    browser.get(f"{house.url}/login")
    browser.switch_to.active_element.send_keys(PASSWORD, Keys.ENTER)
    sees(browser, "Le téléphone est raccroché")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "Aller au contenu"
    ring = "const e = document.activeElement, s = getComputedStyle(e); return s.outlineStyle + s.outlineWidth"
    reached = set()
    for _ in range(13):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.add(browser.switch_to.active_element.text.strip())
        assert browser.execute_script(ring) == "solid3px"
    assert {"Appels", "Tarifs", "Comptes", "Téléphone", "Messagerie", "Journal", "English"} <= reached


def test_every_field_has_a_label_and_every_page_one_heading(browser: WebDriver, house: Served) -> None:
    log_in(browser, house)
    for path in (
        "/",
        "/calls/",
        "/rates/",
        "/budgets/",
        "/accounts/add",
        "/telephone/",
        "/mail/?by_hand=1",
        "/password",
        "/log/",
    ):
        browser.get(house.url + path)
        nameless = browser.execute_script(
            "return [...document.querySelectorAll('input:not([type=hidden]), select')]"
            ".filter(e => e.labels.length !== 1).map(e => e.outerHTML)"
        )
        assert nameless == [], path
        assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1, path


def test_a_callers_name_runs_no_script(browser: WebDriver, house: Served) -> None:
    evil = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
    house.box.rows.append(missed_row(9000, name=evil, number=evil))
    log_in(browser, house)
    house.box.lines = [line_row(ringing=True, state="ringing", number=evil)]
    house.box.tell("line")
    sees(browser, "Le téléphone sonne")
    sees(browser, evil)
    for path in ("/", "/calls/"):
        browser.get(house.url + path)
        assert browser.execute_script("return window.pwned") is None
        assert browser.find_elements(By.CSS_SELECTOR, "main img") == []
    assert complaints(browser) == []


def test_a_file_too_big_for_the_page_is_told_before_it_is_sent(
    browser: WebDriver, house: Served, tmp_path: Path
) -> None:
    log_in(browser, house)
    browser.get(f"{house.url}/rates/")
    (tmp_path / "big.csv").write_bytes(b"#" * (MAX_UPLOAD_BYTES + 1))
    field(browser, "file").send_keys(str(tmp_path / "big.csv"))
    told = browser.execute_script("return document.getElementById('file').validationMessage")
    assert "allobox rates import" in told
    (tmp_path / "small.csv").write_text(GOOD_RATES, encoding="utf-8")
    field(browser, "file").send_keys(str(tmp_path / "small.csv"))
    press(browser, "Vérifier le fichier")
    sees(browser, "2 lignes")
    assert complaints(browser) == []


def test_a_page_that_is_open_tells_when_the_box_goes_and_comes(browser: WebDriver, house: Served) -> None:
    log_in(browser, house)
    house.box.go_away()
    sees(browser, "La box ne répond pas")
    browser.get(f"{house.url}/calls/")
    sees(browser, "Cette page réessaie toute seule")
    house.box.reachable = True
    sees(browser, "Lesquels")  # the page reloaded by itself


def test_everything_works_without_javascript(house: Served) -> None:
    with chromium(javascript=False) as browser:
        size(browser, 1280, 900)
        log_in(browser, house)
        house.box.lines = [line_row(ringing=True, state="ringing")]
        sees(browser, "Le téléphone sonne")  # refreshed without a script
        press(browser, "Téléphone")
        field(browser, "timezone").clear()
        field(browser, "timezone").send_keys("Indian/Reunion")
        press(browser, "Enregistrer")
        sees(browser, "Enregistré.")
        assert house.box.flat["box.timezone"] == "Indian/Reunion"


def test_the_bill_is_drawn_from_its_tables_and_stands_without_scripts(browser: WebDriver, house: Served) -> None:
    answered = [row for row in house.box.rows if row["answered"] and row["cost"] not in {None, "0.0000"}]
    month = f"{datetime.fromisoformat(answered[-1]['started']).astimezone(ZoneInfo('Europe/Paris')):%Y-%m}"
    log_in(browser, house)
    browser.get(f"{house.url}/bill/?month={month}")
    sees(browser, "Par destination")
    drawn = "return document.querySelectorAll('.bill-plot canvas').length"
    WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(drawn) >= 2)
    assert not complaints(browser)  # the policy lets nothing inline pass
    size(browser, 360, 780)
    browser.get(f"{house.url}/bill/?month={month}")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    with chromium(javascript=False) as plain:
        log_in(plain, house)
        plain.get(f"{house.url}/")
        # Two clicks from home: the menu is one.
        plain.find_element(By.CSS_SELECTOR, "main a[href='/bill/']").click()
        plain.get(f"{house.url}/bill/?month={month}")
        sees(plain, "Par jour")
        table = plain.find_element(By.ID, "days")
        assert table.is_displayed()
        assert table.find_elements(By.CSS_SELECTOR, "tbody tr")
