"""Which language, and which look, this reader wants; the page's catalogues.

French unless the browser asks for English or the reader switched. The choice is a plain cookie: it
is no secret and must work before the login.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.support import NullTranslations
from flask import Flask, request
from flask_babel import Babel, Domain, get_locale

from firmware.i18n import DEFAULT_LANGUAGE, translator
from firmware.webui.context import page

LANGUAGES = {"fr": "Français", "en": "English"}
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE = "allobox_language"
THEME_COOKIE = "allobox_theme"
DOMAIN = "page"
CATALOGUES = Path(__file__).parent / "translations"


class _Catalogues(Domain):  # type: ignore[misc] # Flask-Babel has no types
    """Flask-Babel's domain, read through `firmware.i18n`: a checkout without .mo files speaks too."""

    def get_translations(self) -> Any:
        words = NullTranslations()
        words.add_fallback(translator(CATALOGUES, DOMAIN, language()))
        return words


def language() -> str:
    """The reader's language, `fr` or `en`."""
    return str(get_locale() or DEFAULT_LANGUAGE)[:2]


def theme() -> str:
    """The reader's look: light, dark, or as the system has it (auto)."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def _select() -> str:
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen is None or chosen not in LANGUAGES:
        chosen = request.accept_languages.best_match(list(LANGUAGES), default=DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE
    # English of Europe: 14:32, not 2:32 PM; 23 November, not November 23.
    return "en_GB" if chosen == "en" else chosen


def _zone() -> ZoneInfo:
    return page().household.choices().zone


def speak(app: Flask) -> None:
    """Make `app` speak the reader's language."""
    babel = Babel()
    babel.init_app(
        app, default_locale=DEFAULT_LANGUAGE, default_domain=DOMAIN, locale_selector=_select, timezone_selector=_zone
    )
    babel.domain_instance = _Catalogues(domain=DOMAIN)
