"""One call's page: what it was like, in a word, in figures, and drawn."""

from __future__ import annotations

from babel.numbers import format_decimal
from flask import Blueprint, abort, render_template
from flask_babel import get_locale

from firmware.service import CallQuality, CallRow
from firmware.webui.context import page
from firmware.webui.formats import SPACE, plain
from firmware.webui.quality_plot import delay_plot, loss_plot
from firmware.webui.say import _

_MAX_ID = 2**53

blueprint = Blueprint("quality", __name__, url_prefix="/calls")


def quality_word(call: CallRow) -> str:
    """What the call was like in a word; "" for one that was not judged."""
    like = call.get("quality")
    return _word(like) if like else ""


def _word(like: CallQuality) -> str:
    return {"excellent": _("excellent"), "good": _("good"), "poor": _("poor")}.get(like["word"] or "", "")


@blueprint.get("/<int:record>")
def show(record: int) -> str:
    """The call's record with its figures; 404 for none of that number."""
    if not 1 <= record <= _MAX_ID:
        abort(404)
    rows = page().box.calls({"after": record - 1, "oldest_first": True, "limit": 1, "plot": True})
    if not rows or rows[0]["id"] != record:
        abort(404)
    (call,) = rows
    like, plot = call.get("quality"), call.get("plot")
    return render_template(
        "call.html",
        call=call,
        like=like,
        word=quality_word(call),
        verdict=_verdict(like),
        groups=_groups(like) if like else (),
        delay=delay_plot(plot["delay_ms"], plot["seconds"], _ms) if plot else None,
        loss=loss_plot(plot["loss_percent"], plot["seconds"], lambda value: _with(value, "%", 1)) if plot else None,
    )


def csv_headings() -> list[str]:
    """What `csv_cells` holds."""
    return [
        _("quality"), _("MOS"), _("R factor"), _("lost of what was received, %"), _("lost of what was sent, %"),
        _("jitter, ms"), _("delay, ms"), _("round trip, ms"),
    ]  # fmt: skip


def csv_cells(call: CallRow, *, french: bool) -> list[str]:
    """A call's figures for a spreadsheet, empty where there are none."""
    like = call.get("quality")
    if not like:
        return [""] * 8
    figures = (
        like["mos"], like["r_factor"], like["lost_received_percent"], like["lost_sent_percent"], like["jitter_ms"],
        like["delay_ms"], like["round_trip_ms"],
    )  # fmt: skip
    point = "," if french else "."
    return [_word(like), *("" if figure is None else str(figure).replace(".", point) for figure in figures)]


def _verdict(like: CallQuality | None) -> str:
    """The word in a sentence, with what took most of it away."""
    if like and like.get("fax"):
        return _("A fax machine or a modem called: the judgement is that of a voice, and tells little of a page.")
    match like["word"] if like else None:
        case "excellent":
            return _("You should have understood each other as if in the same room.")
        case "good":
            return _("A little was lost or late; it should not have disturbed much.")
        case "poor" if like and like["received"] == 0:
            return _("Nothing arrived from the other side: a firewall, or a router in between, may be the cause.")
        case "poor" if like and like["lost_sent_percent"] > like["lost_received_percent"]:
            return _("The other side missed much of what you said: the way out of the house is the first to look at.")
        case "poor" if like and like["lost_received_percent"] >= 1:
            return _("Much of what the other side said was lost or came too late.")
        case "poor":
            return _("The voice was long on its way: people talk into each other’s words.")
        case _:
            return ""


def _groups(like: CallQuality) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The figures by what they tell of: (heading, ((name, figure) ...)) ..."""
    trip, drift = like["round_trip_ms"], like["drift_ppm"]
    return (
        (
            _("Judgement"),
            (
                (_("Opinion (MOS, 1 to 4.5)"), _number(like["mos"], 1)),
                (_("R factor (0 to 93)"), _number(like["r_factor"], 0)),
                (_("Codec"), f"{plain(like['codec'])}, {_ms(like['packet_ms'])}"),
            ),
        ),
        (
            _("Way"),
            (
                (_("Delay, mouth to ear"), _ms(like["delay_ms"])),
                (_("Network, there and back"), _("not told by the other side") if trip is None else _ms(trip)),
                (_("Jitter"), _spread(like["jitter_ms"], like["jitter_max_ms"])),
                (_("Jitter buffer"), _spread(like["buffer_ms"], like["buffer_max_ms"])),
            ),
        ),
        (
            _("Packets"),
            (
                (_("Received"), _number(like["received"], 0)),
                (_("Lost on the way here"), _share(like["lost_received"], like["lost_received_percent"])),
                (_("Sent"), _number(like["sent"], 0)),
                (_("Lost on the way there"), _share(like["lost_sent"], like["lost_sent_percent"])),
                (_("Too late for the buffer"), _number(like["discarded"], 0)),
                (_("Frames concealed"), _number(like["concealed"], 0)),
            ),
        ),
        (
            _("Line"),
            (
                (
                    _("Clock beside the bridge’s"),
                    "–" if drift is None else _with(drift, "ppm"),
                ),
                (_("Gaps between the clocks"), _number(like["gaps"] + like["drops"], 0)),
                (_("Sound card out of step"), _number(like["xruns"], 0)),
            ),
        ),
    )


def _share(count: int, percent: float) -> str:
    return f"{_number(count, 0)} ({_with(percent, '%', 1)})" if count else _number(count, 0)


def _spread(mean: float, most: float) -> str:
    return _("%(mean)s, at most %(most)s", mean=_ms(mean), most=_ms(most))


def _ms(value: float) -> str:
    return _with(value, "ms", 0 if value >= 10 else 1)  # noqa: PLR2004 below it a tenth can be told


def _with(value: float, unit: str, decimals: int = 0) -> str:
    return f"{_number(value, decimals)}{SPACE}{unit}"


def _number(value: float | None, decimals: int) -> str:
    if value is None:
        return "–"
    return str(format_decimal(round(value, decimals), format=f"#,##0.{'#' * decimals}", locale=get_locale()))
