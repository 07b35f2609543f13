"""The whole product at once, as people use it: the README's walk, and the mailbox that tells of a missed call."""

import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.fakes.mail_servers import SmtpServer
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Dovecot, Kamailio, Sipp, SippCaller, free_port, wait_until
from tests.system.test_first_calls import NUMBER, USERS, account
from tests.system.test_page_browser import chromium

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE_PASSWORD = "Bonjour-2010"
MAILBOX, MAIL_PASSWORD = "jeanne@example.org", "bonjour a tous 2010"


def readme_walk() -> list[list[str]]:
    """The commands of the README's first call, as printed."""
    text = (CHECKOUT / "README.md").read_text()
    section = text.split("## The first call")[1].split("```")[1]
    return [shlex.split(line) for line in section.strip().splitlines()]


def test_the_readmes_walk_works_as_printed(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="allobox-walk-", dir="/tmp") as folder:
        page, exchange = free_port(), free_port()
        command = [sys.executable, "-m", "firmware", "run", "--simulate", "--data", folder]
        command += ["--page", f"127.0.0.1:{page}", "--exchange-port", str(exchange)]
        with (tmp_path / "run.log").open("w") as log:
            house = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=CHECKOUT)
        try:
            wait_until(lambda: "Allobox is up" in (tmp_path / "run.log").read_text(), 60, "the house to be up")
            data = Path(folder)
            told: dict[str, str] = {}
            for words in readme_walk():
                assert words[0] == ".venv/bin/allobox"
                done = subprocess.run(
                    [sys.executable, "-m", "firmware", *words[1:], "--data", str(data)],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                    cwd=tmp_path,
                    env={"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"},
                )
                assert done.returncode == 0, (words, done.stderr)
                told[" ".join(words[1:3])] = done.stdout
                if words[1:3] == ["phone", "hangup"]:
                    time.sleep(2)
            assert "3699" in told["calls"]
            assert re.search(r"\d\.\d{4} EUR", told["calls"])
            heard = speech_score.read(tmp_path / "clock.wav")
            assert abs(heard.astype(int)).max() > 3000, "the clock was not heard"
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/", timeout=10) as reply:
                assert b"Allobox" in reply.read()
            status = json.loads(
                subprocess.run(
                    [sys.executable, "-m", "firmware", "status", "--json", "--data", str(data)],
                    capture_output=True,
                    text=True,
                    timeout=30,
                    check=True,
                ).stdout
            )
            assert (status["page"]["state"], status["mail"]["state"]) == ("up", "up")
            assert [row["registered"] for row in status["accounts"]] == [True]
        finally:
            house.send_signal(signal.SIGINT)
            house.wait(30)
        assert house.returncode == 0
        assert list((data / "run").glob("*.pid")) == []


def _open_details(browser: WebDriver) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


def _fill(browser: WebDriver, values: dict[str, str]) -> None:
    for name, value in values.items():
        box = browser.find_element(By.NAME, name)
        if box.tag_name == "select":
            box.find_element(By.CSS_SELECTOR, f"option[value={value}]").click()
        else:
            box.clear()
            box.send_keys(value)


def _submit(browser: WebDriver, action: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"form[action$='{action}'] button").click()


def _says(browser: WebDriver, text: str) -> Callable[[], bool]:
    # In one step: a page that is being left takes an element away between finding and reading it.
    return lambda: text in browser.execute_script("return document.body ? document.body.innerText : ''")


def test_a_mailbox_linked_in_a_browser_gets_one_mail_of_a_call_missed_by_the_handset() -> None:
    with (
        Kamailio(USERS) as registrar,
        Dovecot({MAILBOX: MAIL_PASSWORD}) as imap,
        SmtpServer({MAILBOX: MAIL_PASSWORD}, imap.certs) as smtp,
        RunningBox(account(registrar), settings={"mail.ca_file": str(imap.ca_file)}) as box,
        chromium() as browser,
    ):
        port = free_port()
        box.run("page", "--port", str(port))
        box.run("mail")
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: box.client.status()["mail"]["state"] == "up", 30, "the mail worker")
        wait_until(lambda: box.client.status()["page"]["state"] == "up", 30, "the page")
        box.wait_registered("home")

        browser.get(f"{url}/")
        for field in browser.find_elements(By.CSS_SELECTOR, "input[type=password]"):
            field.send_keys(PAGE_PASSWORD)
        browser.find_element(By.CSS_SELECTOR, "main form button").click()
        browser.get(f"{url}/mail/")
        _open_details(browser)
        servers = {
            "address": MAILBOX,
            "phrase": "le chat dort",
            "imap_host": "localhost",
            "imap_port": str(imap.tls_port),
            "imap_security": "tls",
            "smtp_host": "localhost",
            "smtp_port": str(smtp.port),
            "smtp_security": "tls",
        }
        _fill(browser, servers | {"password": "not the password"})
        _submit(browser, "/mail/link")
        wait_until(_says(browser, "AUTHENTICATIONFAILED"), 30, "the server's own words about the wrong password")
        _open_details(browser)
        _fill(browser, servers | {"password": MAIL_PASSWORD})
        _submit(browser, "/mail/link")
        wait_until(_says(browser, MAILBOX), 30, "the mailbox to be linked")

        target = f"{LOOPBACK}:{registrar.port}"
        caller = SippCaller(NUMBER, "Mamie Jeanne")
        with Sipp("uac_cancel.xml", target, service="box", callers=[caller], pause_ms=2500) as sipp:
            box.phone.wait("ring", 15)
            assert sipp.wait(30).successful == 1
        wait_until(lambda: len(smtp.received) >= 1, 30, "the mail")
        time.sleep(3)  # a second one would come now
        assert len(smtp.received) == 1
        mail = message_from_bytes(smtp.received[0], policy=default)
        assert isinstance(mail, EmailMessage)
        assert "Mamie Jeanne" in mail["Subject"]
        assert "01 42 68 53 00" in mail["Subject"]
        body = mail.get_body(("plain",))
        assert body is not None
        assert "le chat dort" in body.get_content()
        for log in ("core", "page", "mail"):
            assert MAIL_PASSWORD not in box.log(log)
