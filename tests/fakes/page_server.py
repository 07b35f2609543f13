"""A page over a fake box, served by waitress on loopback: for browsers, and to be looked at.

`python -m tests.fakes.page_server [PORT]` shows a lived-in box; the password is PASSWORD.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from argon2 import PasswordHasher

from firmware.rates.deck import import_csv
from firmware.webui import context, door
from firmware.webui.app import create_app
from tests.fakes.box_service import GOOD_PASSWORD, FakeBox, FakeMail, call_row, line_row, missed_row

PASSWORD = "Allo-allo-2010"
RATES = """prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment,currency
1,United States and Canada,0,0,60,60,EUR
33,France fixed,0.02,0,60,60,EUR
336,France mobile,0.15,0,60,1,EUR
337,France mobile,0.15,0,60,1,EUR
44,United Kingdom,"0,019",0,1,1,EUR
674,Nauru,0.99,0.10,60,60,EUR
FR3699,Speaking clock,0,0,60,60,EUR
"""


@dataclass
class Served:
    """A page that runs: its address and what lies behind it."""

    url: str
    box: FakeBox
    mail: FakeMail
    data: Path


def lived_in(box: FakeBox, data: Path) -> None:
    """Fill a fake box with a month of a household."""
    box.credential = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    box.decks_folder = data / "decks"
    box.add_account({
        "name": "OVH", "server": "sip3.ovh.fr", "user": "0033972101010", "password": GOOD_PASSWORD,
        "number": "+33972101010",
    })  # fmt: skip
    box.test_account("OVH")
    box.add_account({"name": "Secours", "server": "sip.example.org:5061", "user": "maison", "transport": "tls"})
    box.kept["Secours"]["sip_code"], box.kept["Secours"]["reason"] = 403, "Forbidden"
    chance = random.Random(2010)  # noqa: S311 - the same household each time
    now = datetime.now(UTC).replace(microsecond=0)
    numbers = [
        ("+33142685300", None, "France fixed", "0.02"),
        ("+33612345678", "Marie Curie", "France mobile", "0.15"),
        ("+12025550123", "Pierre à Washington", "United States and Canada", "0"),
        ("+442079460123", None, "United Kingdom", "0.019"),
    ]
    for number in range(1, 121):
        other, name, place, price = chance.choice(numbers)
        started = now - timedelta(minutes=170 * (120 - number) + 12)
        seconds = chance.randint(20, 900)
        common = {"number": other, "name": name, "started": started.isoformat(), "account": "OVH"}
        if chance.random() < 0.25:
            box.rows.append(missed_row(number, **common, destination=None))
        else:
            minutes = -(-seconds // 60)
            box.rows.append(
                call_row(
                    number, **common, destination=place, seconds=seconds, billed_seconds=minutes * 60,
                    cost=f"{minutes * float(price):.4f}", answered=(started + timedelta(seconds=6)).isoformat(),
                )
            )  # fmt: skip
    source = data / "demo.csv"
    source.write_text(RATES, encoding="utf-8")
    report = import_csv(source, box.decks_folder, "demo")
    assert report.file is not None, report.lines()
    box.activate_deck(report.file.name, "demo", None)
    for minute in range(20):
        at = (now - timedelta(minutes=minute)).isoformat()
        box.log_rows.insert(
            0,
            {
                "at": at,
                "level": "WARNING" if minute == 3 else "INFO",
                "where": "sip",
                "message": f"account OVH: registered ({minute})",
            },
        )
    invite = "INVITE sip:+33142685300@sip3.ovh.fr SIP/2.0\nVia: SIP/2.0/UDP 192.168.1.20:40123;rport\n"
    box.trace_rows.append(
        {
            "at": now.isoformat(),
            "outgoing": True,
            "peer": "sip3.ovh.fr:5060",
            "summary": "INVITE +33142685300",
            "call_id": "a1",
            "text": invite,
        }
    )
    box.trace_rows.append(
        {
            "at": now.isoformat(),
            "outgoing": False,
            "peer": "sip3.ovh.fr:5060",
            "summary": "183 Session Progress",
            "call_id": "a1",
            "text": "SIP/2.0 183 Session Progress\n",
        }
    )
    box.lines = [line_row()]


@contextmanager
def served(box: FakeBox, mail: FakeMail, data: Path, port: int = 0) -> Iterator[Served]:
    """Serve until the block ends."""
    app = create_app(box, mail, secret_key=b"only for tests, and thirty-two bytes", data=data)
    server = door.listen(app, "127.0.0.1", port)
    url = f"http://127.0.0.1:{server.effective_port}"
    with app.app_context():
        live, bills = context.page().live, context.page().bills
    live.start(url)
    stop = threading.Event()

    def serve() -> None:
        # server.run() never returns, and closing it from outside breaks the loop within a poll.
        while not stop.is_set():
            server.asyncore.loop(timeout=0.1, map=server._map, count=1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Served(url, box, mail, data)
    finally:
        live.close()
        bills.close()
        box.go_away()
        server.task_dispatcher.shutdown()
        stop.set()
        thread.join(10)
        server.close()


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="allobox-page-"))
    shown = FakeBox()
    lived_in(shown, folder)
    with served(shown, FakeMail(), folder, int(sys.argv[1]) if len(sys.argv) > 1 else 8099) as running:
        print(running.url, PASSWORD)
        threading.Event().wait()
