"""What the sections share: the two services and the page's own small stores, one object an app."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from flask import Flask, current_app

from firmware.service import BoxService, MailService
from firmware.webui.attempts import Attempts
from firmware.webui.bill_desk import BillDesk
from firmware.webui.household import Household
from firmware.webui.live import LiveFeed
from firmware.webui.passwords import Credential
from firmware.webui.sessions import Sessions
from firmware.webui.spend import MonthSpend
from firmware.webui.visits import Visits

_KEY = "allobox"


@dataclass
class Page:
    """Everything a section may reach for. `decks` and `uploads` are folders."""

    box: BoxService
    mail: MailService
    credential: Credential
    sessions: Sessions
    household: Household
    live: LiveFeed
    spend: MonthSpend
    bills: BillDesk
    decks: Path
    uploads: Path
    visits: Visits
    attempts: Attempts = field(default_factory=Attempts)


def install(app: Flask, page: Page) -> None:
    """Give the app its page."""
    app.extensions[_KEY] = page


def page() -> Page:
    """The page of the app that answers now."""
    return cast("Page", current_app.extensions[_KEY])
