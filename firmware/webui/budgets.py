"""Budgets: caps with what is spent of them, what may be called, and the PINs."""

from __future__ import annotations

import logging
from decimal import Decimal, InvalidOperation
from typing import cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from firmware.rates.budget import parse_caps, parse_minutes, parse_money, parse_number
from firmware.service import MAX_ROWS, AlertRow, BoxUnreachableError, BudgetRow, CapRow, ServiceError
from firmware.webui.context import page
from firmware.webui.formats import SPACE, amount_of, number, plain
from firmware.webui.forms import Form, secret, text
from firmware.webui.refusals import other_refusal
from firmware.webui.say import _

PERIODS = ("day", "week", "month")
_MAX_LINES = 9
_FULL = 100
_NEAR = 80
_MAX_NUMBERS = 4096
_SHOWN_ALERTS = 10

blueprint = Blueprint("budgets", __name__, url_prefix="/budgets")
_log = logging.getLogger(__name__)


def class_words(name: str) -> str:
    """A class of numbers as people call it."""
    return {
        "fixed": _("Landlines"),
        "mobile": _("Mobiles"),
        "short": _("Short numbers"),
        "international": _("Abroad"),
        "premium": _("Premium numbers"),
        "satellite": _("Satellite telephones"),
        "unknown": _("Unknown destinations"),
    }.get(name, plain(name))


def period_words(period: str) -> str:
    """How often a cap begins anew."""
    return {"day": _("a day"), "week": _("a week"), "month": _("a month")}.get(period, plain(period))


def cap_words(cap: CapRow) -> str:
    """Whose calls a cap is for."""
    name = plain(cap["name"])
    return {
        "class": class_words(cap["name"]),
        "line": _("Line %(number)s", number=name),
        "pin": _("PIN of %(label)s", label=name),
    }.get(cap["scope"], _("All calls"))


def cap_spent(cap: CapRow, currency: str) -> str:
    """3,20 EUR of 20,00 EUR, 45 of 60 min."""
    if cap["spent"] is None or cap["spent_seconds"] is None:
        return _("What is spent cannot be read now.")
    parts = []
    if cap["money"] is not None:
        spent, whole = (amount_of(_decimal(amount), currency) for amount in (cap["spent"], cap["money"]))
        parts.append(_("%(spent)s of %(whole)s", spent=spent, whole=whole))
    if cap["minutes"] is not None:
        used = -(-cap["spent_seconds"] // 60)
        parts.append(_("%(used)d of %(whole)d min", used=used, whole=cap["minutes"]))
    return ", ".join(parts)


def cap_held(cap: CapRow, currency: str) -> str:
    """What running calls may still come to; "" if none runs."""
    if cap["spent"] is None or (cap["held"] == "0.0000" and not cap["held_seconds"]):
        return ""
    parts = []
    if cap["money"] is not None and cap["held"] is not None:
        parts.append(amount_of(_decimal(cap["held"]), currency))
    if cap["minutes"] is not None and cap["held_seconds"] is not None:
        parts.append(f"{-(-cap['held_seconds'] // 60)}{SPACE}min")
    if not parts:
        return _("A call is running.")
    return _("Running calls may come to %(amount)s more.", amount=", ".join(parts))


def cap_mood(cap: CapRow) -> str:
    """How full the bar is, as a colour."""
    gone = cap["percent"] or 0
    return "full" if gone >= _FULL else "near" if gone >= _NEAR else "well"


def _decimal(amount: str | None) -> Decimal:
    try:
        return Decimal(amount or 0)
    except InvalidOperation:
        return Decimal(0)


def _scopes(row: BudgetRow, lines: int) -> list[tuple[str, str]]:
    return [
        ("all", _("All calls")),
        *((f"class:{name}", class_words(name)) for name in row["classes"]),
        *((f"line:{line}", _("Line %(number)s", number=line)) for line in range(1, min(lines, _MAX_LINES) + 1)),
        *((f"pin:{pin['label']}", _("PIN of %(label)s", label=plain(pin["label"]))) for pin in row["pins"]),
    ]


def _render(cap: Form | None = None, allowed: Form | None = None, pin: Form | None = None) -> str:
    row = page().box.budgets()
    lines = len(page().box.status()["lines"])
    chosen = {
        **dict.fromkeys(row["allow"], True),
        "numbers": ", ".join(row["allow_numbers"]),
        "longest": str(row["longest_minutes"] or ""),
    }
    return render_template(
        "budgets.html",
        row=row,
        cap=cap or Form({"scope": "all", "period": "month", "money": "", "minutes": ""}),
        allowed=allowed or Form(chosen),
        pin=pin or Form({"label": "", "pin": "", "pin_numbers": ""}),
        scopes=_scopes(row, lines),
        periods=[(period, period_words(period)) for period in PERIODS],
        class_words=class_words,
        cap_words=cap_words,
        period_words=period_words,
        cap_spent=cap_spent,
        cap_held=cap_held,
        cap_mood=cap_mood,
        alerts=_alerts(),
        alert_words=alert_words,
    )


def _alerts() -> list[AlertRow]:
    """The last alerts, newest first. The box keeps a few hundred, and tells them from the oldest on."""
    rows: list[AlertRow] = []
    while fresh := page().box.alerts(rows[-1]["id"] if rows else 0, MAX_ROWS):
        rows = [*rows, *fresh][-_SHOWN_ALERTS:]
    return rows[::-1]


def alert_words(alert: AlertRow) -> str:
    """What an alert says."""
    if alert["kind"] == "refused":
        kind = "unknown" if alert.get("reason") == "unknown-barred" else str(alert.get("name", ""))
        return _(
            "Refused on line %(line)d: %(number)s (%(kind)s)",
            line=int(alert.get("line", 0)),
            number=number(str(alert.get("number", ""))),
            kind=class_words(kind),
        )
    whose = cap_words(_as_cap(alert))
    period = period_words(str(alert.get("period", "")))
    if int(alert.get("percent", 0)) >= _FULL:
        return _("Used up: %(whose)s, %(period)s", whose=whose, period=period)
    return _("%(percent)d %% used: %(whose)s, %(period)s", percent=alert.get("percent", 0), whose=whose, period=period)


def _as_cap(alert: AlertRow) -> CapRow:
    """The cap that an alert is about, as far as words go."""
    return cast("CapRow", {"scope": alert.get("scope", ""), "name": alert.get("name", "")})


@blueprint.get("/")
def show() -> str:
    """Everything about budgets."""
    return _render()


def _back(words: str) -> Response:
    flash(words, "good")
    return redirect(url_for("budgets.show"))


@blueprint.post("/caps")
def save_cap() -> Response | tuple[str, int]:
    """Set a cap, in place of one for the same calls and period."""
    form = Form({name: text(name) for name in ("scope", "period", "money", "minutes")})
    limits = []
    money, minutes = form.value("money").replace(SPACE, "").removesuffix("€").strip(), form.value("minutes")
    if money:
        try:
            limits.append(f"{parse_money(money):f}")
        except ValueError:
            form.errors["money"] = _("This is no amount: write 20 or 2,50.")
    if minutes:
        try:
            limits.append(f"{parse_minutes(minutes)}min")
        except ValueError:
            form.errors["minutes"] = _("Whole minutes, at most those of a month.")
    if not (money or minutes):
        form.errors["money"] = _("Give an amount, minutes, or both.")
    if form.errors:
        return _render(cap=form), 422
    wanted = " ".join((form.value("scope"), form.value("period"), *limits))
    try:
        (fresh,) = parse_caps([wanted])
        kept = [one for one in parse_caps(_caps()) if (one.scope, one.period) != (fresh.scope, fresh.period)]
    except ValueError:
        form.errors[""] = _("Choose the calls and the period from the lists.")
        return _render(cap=form), 422
    try:
        page().box.change_setting("calls.caps", ",".join(str(one) for one in (*kept, fresh)))
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        form.refuse(error, name="")
        return _render(cap=form), 422
    _log.info("cap set: %s", fresh)
    return _back(_("Saved."))


def _caps() -> list[str]:
    return [cap["cap"] for cap in page().box.budgets()["caps"]]


@blueprint.post("/caps/remove")
def remove_cap() -> Response:
    """Take a cap away."""
    gone = text("cap")
    kept = [cap for cap in _caps() if cap != gone]
    page().box.change_setting("calls.caps", ",".join(kept))
    return _back(_("The cap is gone."))


def _numbers(form: Form, name: str) -> list[str]:
    """Numbers as typed, one a line or with commas between; what is none is told beside the field."""
    typed = request.form.get(name, "")[:_MAX_NUMBERS].replace("\n", ",").replace(";", ",").replace("\r", "")
    found = []
    for part in typed.split(","):
        if not part.strip():
            continue
        try:
            found.append(parse_number(part))
        except ValueError:
            form.errors[name] = _(
                "\u201c%(number)s\u201d is no number: write 0892 70 00 00, 36 39, or 0892* for all that begin so.",
                number=plain(part.strip())[:40],
            )
    return found


@blueprint.post("/allowed")
def save_allowed() -> Response | tuple[str, int]:
    """What everybody may call, and how long."""
    row = page().box.budgets()
    classes = [name for name in row["classes"] if request.form.get(name) is not None]
    form = Form({**dict.fromkeys(classes, True), "numbers": text("numbers"), "longest": text("longest")})
    numbers = _numbers(form, "numbers")
    longest = form.value("longest") or "0"
    try:
        parse_minutes(longest)
    except ValueError:
        form.errors["longest"] = _("Whole minutes, at most those of a month.")
    if form.errors:
        return _render(allowed=form), 422
    wanted = {
        "calls.allow": (",".join(classes), ",".join(row["allow"])),
        "calls.allow_numbers": (",".join(numbers), ",".join(row["allow_numbers"])),
        "calls.longest_minutes": (longest, str(row["longest_minutes"])),
    }
    for key, (after, before) in wanted.items():
        if after == before:
            continue
        try:
            page().box.change_setting(key, after)
        except BoxUnreachableError:
            raise
        except ServiceError as error:
            form.refuse(error, name="numbers" if key.endswith("numbers") else "")
            return _render(allowed=form), 422
        _log.info("setting %s = %s", key, after)
    return _back(_("Saved."))


@blueprint.post("/pins")
def save_pin() -> Response | tuple[str, int]:
    """Make a PIN, or change what one allows. Its digits go to the box and never come back."""
    label, digits = text("label"), secret("pin").strip()
    known = {pin["label"] for pin in page().box.budgets()["pins"]}
    classes = [name for name in page().box.budgets()["classes"] if request.form.get(f"pin_{name}") is not None]
    ticked = dict.fromkeys((f"pin_{name}" for name in classes), True)
    form = Form({"label": label, "pin": "", "pin_numbers": text("pin_numbers"), **ticked})
    numbers = _numbers(form, "pin_numbers")
    if not label:
        form.errors["label"] = _("Say whose PIN it is.")
    if label not in known and not digits:
        form.errors["pin"] = _("A new PIN needs its digits.")
    if form.errors:
        return _render(pin=form), 422
    try:
        page().box.set_pin(label, digits or None, classes, numbers)
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        _refuse_pin(form, error)
        return _render(pin=form), 422
    _log.info("PIN of %s set", label)
    return _back(_("Saved."))


def _refuse_pin(form: Form, error: ServiceError) -> None:
    place = error.where.rsplit(".", 1)[-1]
    if place == "pin" and "another label" in error.message:
        form.errors["pin"] = _("Somebody else has this PIN: choose another.")
    elif place == "pin":
        form.errors["pin"] = _("4 to 12 digits, not all alike and not in a row.")
    elif place == "label":
        form.errors["label"] = _("A name has at most 40 letters, digits, spaces, points and hyphens.")
    else:
        refusal = other_refusal(error)
        form.errors[""] = refusal.words
        form.core[""] = refusal.core


@blueprint.post("/pins/remove")
def remove_pin() -> Response:
    """Forget a PIN and its caps."""
    try:
        page().box.remove_pin(text("label"))
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        flash(other_refusal(error).line(), "bad")
        return redirect(url_for("budgets.show"))
    return _back(_("The PIN is forgotten."))
