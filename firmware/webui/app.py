"""The page's composition: `create_app` puts the sections together, `main` serves them.

A process of its own: a request, an upload or a crash here never touches a call. It sees the box
only through `BoxService` and `MailService`.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from flask import Flask, g, request

from firmware.control import box_client, mail_client
from firmware.service import BoxService, MailService
from firmware.webui import (
    account_words,
    accounts,
    auth,
    bill,
    bill_words,
    budgets,
    calls,
    context,
    doctor,
    door,
    errors,
    events,
    formats,
    home,
    language,
    log,
    mail,
    preferences,
    quality,
    rate_import,
    rate_row,
    rate_words,
    rates,
    security,
    telephone,
    words,
)
from firmware.webui.bill_desk import BillDesk
from firmware.webui.household import Household
from firmware.webui.live import LiveFeed
from firmware.webui.passwords import Credential
from firmware.webui.sessions import Sessions
from firmware.webui.spend import MonthSpend
from firmware.webui.visits import Visits

_SECTIONS = (
    home.blueprint,
    calls.blueprint,
    quality.blueprint,
    bill.blueprint,
    rates.blueprint,
    rate_import.blueprint,
    rate_row.blueprint,
    accounts.blueprint,
    telephone.blueprint,
    doctor.blueprint,
    budgets.blueprint,
    mail.blueprint,
    log.blueprint,
    events.blueprint,
    auth.blueprint,
    preferences.blueprint,
)
_FILTERS = (
    formats.plain,
    formats.block,
    formats.number,
    formats.money,
    formats.amount_of,
    formats.exact,
    formats.rate,
    formats.steps,
    formats.duration,
    formats.when,
    formats.full_when,
    formats.month,
    formats.difference,
    formats.percent,
    formats.prefix,
    formats.day,
    words.line_sentence,
    account_words.account_sentence,
    words.service_sentence,
    words.call_end,
    quality.quality_word,
    words.visit,
    words.is_missed,
    words.process_word,
    words.process_detail,
    rate_words.problem_words,
    bill.bill_money,
    bill.month_title,
    bill.day_title,
    bill.share,
    bill_words.heading_words,
    bill_words.key_words,
    bill_words.cause_words,
    bill_words.finding_words,
    bill_words.check_words,
    rate_words.target,
)
_log = logging.getLogger(__name__)


def create_app(
    box: BoxService,
    mail: MailService,
    *,
    secret_key: bytes,
    data: Path | None = None,
    names: Iterable[str] = (),
) -> Flask:
    """The page over these two services.

    `data` is the box's DIR (decks are imported into DIR/decks, sessions kept in DIR/page); without
    it a folder that is forgotten serves. `names` are further Host names to answer to.
    """
    folder = data if data is not None else Path(tempfile.mkdtemp(prefix="allobox-page-"))
    app = Flask(__name__)
    app.secret_key = secret_key
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    context.install(
        app,
        context.Page(
            box=box,
            mail=mail,
            credential=Credential(box),
            sessions=Sessions(folder / "page" / "sessions.json" if data is not None else None),
            household=Household(box, names),
            live=LiveFeed(box),
            spend=MonthSpend(box),
            bills=BillDesk(box, folder / "decks"),
            decks=folder / "decks",
            uploads=folder / "page" / "uploads",
            visits=Visits(folder / "page" / "visits.json" if data is not None else None),
        ),
    )
    language.speak(app)
    security.protect(app)
    errors.explain(app)
    for section in _SECTIONS:
        app.register_blueprint(section)
    for function in _FILTERS:
        app.add_template_filter(function)
    app.context_processor(_shared)
    return app


def _shared() -> dict[str, object]:
    return {
        "language": language.language(),
        "languages": language.LANGUAGES,
        "theme": language.theme(),
        "logged_in": bool(g.get("logged_in")),
        "here": request.full_path.removesuffix("?") if request.method == "GET" else "/",
    }


def secret_key(folder: Path) -> bytes:
    """The key that signs cookies: made at the first start, kept in `folder` with mode 0600."""
    path = folder / "secret.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) >= 32:  # noqa: PLR2004 - bytes, as secrets recommends
        return key
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_bytes(32)
    draft = folder / f".secret.key.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(key)
    draft.replace(path)
    return key


def main(data: Path, host: str, port: int) -> None:
    """Serve the page until told to stop. Exits with 1 and one line if the address cannot be had."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A rate file of many megabytes waits on the disk: /tmp may be memory, of which the page has little.
    waiting = data / "page" / "uploads"
    waiting.mkdir(parents=True, exist_ok=True, mode=0o700)
    tempfile.tempdir = str(waiting)
    app = create_app(box_client(data, role="page"), mail_client(data), secret_key=secret_key(data / "page"), data=data)
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        server = door.listen(app, host, port)
    except OSError as error:
        sys.exit(f"page: cannot listen on {shown}: {error.strerror or error}; choose another with --port")
    with app.app_context():
        context.page().live.start(f"http://{shown}")
    _log.info("page: http://%s", shown)
    server.run()
