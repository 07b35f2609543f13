"""What the box's states are called in a person's words. Tables and a few choices between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from firmware.service import AccountRow, CallRow, LineRow, ServiceError, Status
from firmware.webui.formats import number, plain
from firmware.webui.say import _

Mood = Literal["calm", "alive", "trouble"]
Pose = Literal["down", "ringing", "up", "fault"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A state told: a heading, a line below it, how it feels, and how the telephone is drawn."""

    heading: str
    detail: str = ""
    mood: Mood = "calm"
    pose: Pose = "down"


def line_sentence(line: LineRow) -> Sentence:
    """The line's state as the big sentence of the home page."""
    other = number(line["number"])
    if line["fault"]:
        return Sentence(_("The line has a fault"), plain(line["fault"]), "trouble", "fault")
    if line["ringing"]:
        detail = _("%(number)s is calling", number=other) if other else _("Somebody is calling")
        return Sentence(_("The telephone is ringing"), detail, "alive", "ringing")
    if line["hook"] == "off":
        return _lifted(line["state"], other)
    return Sentence(_("The telephone is hung up"), *_outlook(line["outlook"]))


def _lifted(state: str, other: str) -> Sentence:
    """A lifted handset, by the line machine's state (telephony/line_states.py)."""
    match state:
        case "talking":
            heading = _("In a call with %(number)s", number=other) if other else _("In a call")
            return Sentence(heading, "", "alive", "up")
        case "calling" | "alerting" | "early":
            heading = _("Calling %(number)s", number=other) if other else _("Calling")
            detail = _("It rings there.") if state == "alerting" else _("Waiting for an answer.")
            return Sentence(heading, detail, "alive", "up")
        case "dialling":
            return Sentence(_("Somebody is dialling"), "", "alive", "up")
        case "service":
            return Sentence(_("The handset is lifted"), _("The box answers a service code."), "alive", "up")
        case "special-tone" | "notice":
            return Sentence(_("The handset is lifted"), _("The telephone says why it cannot call."), "trouble", "up")
        case "treatment":
            return Sentence(_("The call is over"), _("The handset is still lifted."), "calm", "up")
        case "howler" | "parked":
            said = _("Nobody can reach you until it is hung up.")
            return Sentence(_("The handset was left off"), said, "trouble", "up")
        case _:
            return Sentence(_("The handset is lifted"), _("Dial tone: dial a number."), "alive", "up")


def _outlook(outlook: str) -> tuple[str, Mood]:
    match outlook:
        case "ready":
            return _("Ready to call and to be called."), "calm"
        case "no-account":
            return _("No SIP account yet: add one to make calls."), "trouble"
        case "unregistered":
            return _("No account is connected: calls cannot get through now."), "trouble"
        case "no-network":
            return _("The box has no network: check its cable."), "trouble"
        case _:
            return "", "calm"


def account_sentence(account: AccountRow) -> Sentence:
    """The account's registration in words; `detail` carries the server's own, if any."""
    said = plain(account["reason"])
    code = account["sip_code"]
    if not account["enabled"]:
        return Sentence(_("Switched off"))
    if account["registered"]:
        return Sentence(_("Connected"), "", "alive")
    if not code and said == "registering":
        return Sentence(_("Connecting"))
    server = f"{code} {said}".strip() if code else said
    told = _("The server says: %(words)s", words=server) if server else ""
    if code in {401, 403, 407}:
        return Sentence(_("The provider refuses the user name or the password"), told, "trouble")
    if code == 404:  # noqa: PLR2004 - SIP 404 Not Found
        return Sentence(_("The provider does not know this user name"), told, "trouble")
    if code in {0, 408, 502, 503, 504}:
        return Sentence(_("The provider does not answer"), told, "trouble")
    return Sentence(_("Not connected"), told, "trouble")


def service_sentence(status: Status) -> Sentence:
    """All accounts at a glance."""
    accounts = [account for account in status["accounts"] if account["enabled"]]
    connected = sum(account["registered"] for account in accounts)
    if not accounts:
        return Sentence(_("No account"), _("Add the SIP account that your provider gave you."), "trouble")
    if connected == len(accounts):
        return Sentence(_("Everything works"), "", "alive")
    if connected:
        return Sentence(_("Some accounts are not connected"), "", "trouble")
    return Sentence(_("No account is connected"), "", "trouble")


def call_end(call: CallRow) -> str:
    """How a call ended."""
    if call["direction"] == "in" and not call["answered"]:
        return _("missed")
    match call["end"]:
        case "caller" | "callee":
            return _("answered")
        case "busy":
            return _("busy")
        case "no-answer":
            return _("no answer")
        case "cancelled":
            return _("given up")
        case "refused":
            return _("refused")
        case "credit":
            return _("cut: credit used up")
        case "interrupted":
            return _("interrupted")
        case "box":
            return _("ended by the box")
        case _:
            return _("did not get through")


def is_missed(call: CallRow) -> bool:
    """Whether somebody tried to reach the house in vain."""
    return call["direction"] == "in" and not call["answered"]


def process_word(state: str) -> str:
    """How one of the box's processes is."""
    return {"up": _("running"), "down": _("not running"), "starting": _("starting")}.get(state, plain(state))


def refusal(error: ServiceError) -> str:
    """A ServiceError's own words, safe to show."""
    return plain(error.message) or _("The box refuses, without saying why.")
