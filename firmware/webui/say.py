"""Flask-Babel's words, with types: `_` for one message, `ngettext` for counted ones."""

from __future__ import annotations

import flask_babel


def _(message: str, **variables: object) -> str:
    """`message` in the reader's language, its %(names)s filled in."""
    return str(flask_babel.gettext(message, **variables))
