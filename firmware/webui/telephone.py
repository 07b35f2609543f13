"""The telephone: ring it, see its line, and where the household lives (country, time zone, language)."""

from __future__ import annotations

import logging
from zoneinfo import available_timezones

from babel import Locale
from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import get_locale
from werkzeug.wrappers import Response

from firmware.service import BoxUnreachableError, ServiceError
from firmware.webui.context import page
from firmware.webui.forms import Form, text, ticked
from firmware.webui.language import LANGUAGES
from firmware.webui.refusals import other_refusal, setting_refusal
from firmware.webui.say import _

_CONFLICT = 409
COUNTRIES = ("FR", "BE", "CH", "DE", "ES", "IT", "UK", "US")
_TERRITORY = {"UK": "GB"}
# (form field, dotted key, how it is read)
_CHOICES = (
    ("country", "box.country"),
    ("timezone", "box.timezone"),
    ("language", "box.language"),
    ("echo_tail_ms", "line.echo_tail_ms"),
)
_SWITCHES = (
    ("pulse", "line.pulse"),
    ("caller_id", "line.caller_id"),
    ("call_waiting", "line.call_waiting"),
    ("echo_canceller", "line.echo_canceller"),
    ("echo_suppression", "line.echo_suppression"),
    ("automatic_gain", "line.automatic_gain"),
)

blueprint = Blueprint("telephone", __name__, url_prefix="/telephone")
_log = logging.getLogger(__name__)


def _countries() -> list[tuple[str, str]]:
    names = (get_locale() or Locale("fr")).territories
    return [(code, str(names.get(_TERRITORY.get(code, code), code))) for code in COUNTRIES]


def _zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/")))


def _tails(present: str) -> list[tuple[str, str]]:
    """How long the echo may last; what was set elsewhere is offered too."""
    offered = [
        ("32", _("With a cord, or cordless")),
        ("64", _("Hands-free, near it")),
        ("128", _("Hands-free, in a large room")),
    ]
    if present and present not in dict(offered):
        offered.append((present, _("%(tail)s ms of echo, as set", tail=present)))
    return offered


def _form() -> tuple[Form, dict[str, object]]:
    flat = page().box.settings()
    values = {name: flat.get(key, "") for name, key in _CHOICES + _SWITCHES}
    return Form(values), flat


def _render(form: Form) -> str:
    return render_template(
        "telephone.html",
        form=form,
        status=page().box.status(),
        countries=_countries(),
        zones=_zones(),
        languages=LANGUAGES,
        tails=_tails(form.value("echo_tail_ms")),
    )


@blueprint.get("/")
def show() -> str:
    """The line's state, the ring test, the settings."""
    form, _flat = _form()
    return _render(form)


@blueprint.post("/settings")
def save() -> Response | tuple[str, int]:
    """Apply what changed, each setting by itself; what is refused stays as it was and is told."""
    form, flat = _form()
    typed: dict[str, object] = {name: text(name) for name, _key in _CHOICES}
    typed |= {name: ticked(name) for name, _key in _SWITCHES}
    form.values = typed
    changed = 0
    for name, key in _CHOICES + _SWITCHES:
        before, after = flat.get(key), typed[name]
        if isinstance(before, int) and not isinstance(before, bool):
            before = str(before)
        if after == before or (before is None and not after):
            continue
        value = str(after).lower() if isinstance(after, bool) else str(after)
        try:
            page().box.change_setting(key, value)
        except BoxUnreachableError:
            raise
        except ServiceError as error:
            form.refuse(error, setting_refusal, name)
        else:
            changed += 1
            _log.info("setting %s = %s", key, value)
    page().household.forget()
    if form.errors:
        return _render(form), 422
    flash(_("Saved.") if changed else _("Nothing to change."), "good")
    return redirect(url_for("telephone.show"))


@blueprint.post("/ring/<int:line>")
def ring(line: int) -> Response:
    """Three rings; lifting the handset ends them."""
    try:
        page().box.ring_test(line)
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        why = _("it is in use, unplugged, or not there.") if error.status == _CONFLICT else other_refusal(error).line()
        flash(_("The telephone cannot ring now: %(why)s", why=why), "bad")
    else:
        flash(_("The telephone rings three times. Lift the handset to stop it."), "good")
    return redirect(url_for("telephone.show"))
