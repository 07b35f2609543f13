"""What the box's states are called in a person's words. Tables and a few choices between them."""

from __future__ import annotations

from firmware.service import CallRow, LineRow, Status
from firmware.webui.formats import number, plain
from firmware.webui.say import _
from firmware.webui.sentence import Mood, Sentence
from firmware.webui.visits import Visit


def line_sentence(line: LineRow) -> Sentence:
    """The line's state as the big sentence of the home page."""
    other = number(line["number"])
    if line["fault"]:
        return Sentence(_("The line has a fault"), plain(line["fault"]), "trouble", "fault")
    if line["ringing"]:
        detail = _("%(number)s is calling", number=other) if other else _("Somebody is calling")
        return Sentence(_("The telephone is ringing"), detail, "alive", "ringing")
    if line["hook"] == "off" or line["state"] == "suspended":
        return _lifted(line["state"], other)
    return Sentence(_("The telephone is hung up"), *_outlook(line["outlook"]))


def _lifted(state: str, other: str) -> Sentence:
    """A lifted handset, by the line machine's state (telephony/line_states.py)."""
    match state:
        case "talking" | "call-waiting" | "call-held":
            heading = _("In a call with %(number)s", number=other) if other else _("In a call")
            beside = {
                "call-waiting": _("Somebody else is calling: the R key answers."),
                "call-held": _("Another call is on hold: the R key changes between the two."),
            }
            return Sentence(heading, beside.get(state, ""), "alive", "up")
        case "waiting-alone" | "held-alone" | "recall":
            heading = _("%(number)s is waiting", number=other) if other else _("Somebody is waiting")
            return Sentence(heading, _("The R key answers; hung up, the telephone rings."), "alive", "up")
        case "calling" | "alerting" | "early":
            heading = _("Calling %(number)s", number=other) if other else _("Calling")
            detail = _("It rings there.") if state == "alerting" else _("Waiting for an answer.")
            return Sentence(heading, detail, "alive", "up")
        case "announcing" | "keying":
            return Sentence(_("The handset is lifted"), _("The box says what the call costs."), "alive", "up")
        case "pin" | "checking":
            return Sentence(_("The handset is lifted"), _("The box asks for a code."), "alive", "up")
        case "dialling":
            return Sentence(_("Somebody is dialling"), "", "alive", "up")
        case "service":
            return Sentence(_("The handset is lifted"), _("The box answers a service code."), "alive", "up")
        case "special-tone" | "notice":
            return Sentence(_("The handset is lifted"), _("The telephone says why it cannot call."), "trouble", "up")
        case "suspended":
            return Sentence(
                _("The handset was put down"), _("Lifted in time, it goes on with the call."), "alive", "up"
            )
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
    """How a call ended (events.EndedBy, and "interrupted" where the box lost power in it)."""
    if is_missed(call):
        return _("missed")
    return {
        "caller": _("answered"),
        "callee": _("answered"),
        "busy": _("busy"),
        "no-answer": _("no answer"),
        "failed": _("did not get through"),
        "refused": _("refused"),
        "cancelled": _("given up"),
        "credit": _("cut: credit used up"),
        "declined": _("given up at its price"),
        "box": _("ended by the box"),
        "elsewhere": _("answered elsewhere"),
        "interrupted": _("interrupted"),
    }.get(call["end"], plain(call["end"]))


def is_missed(call: CallRow) -> bool:
    """Whether somebody tried to reach the house in vain; another telephone of the account may have answered."""
    return call["direction"] == "in" and not call["answered"] and call["end"] != "elsewhere"


def visit(visit: Visit) -> str:
    """What a visit to this page was."""
    told = {
        "login": _("logged in"),
        "wrong-password": _("wrong password"),
        "wrong-code": _("wrong set-up code"),
        "setup": _("chose the page's password"),
        "new-password": _("changed the page's password"),
    }.get(visit.kind, plain(visit.kind))
    return told if visit.times == 1 else _("%(what)s, %(times)d times", what=told, times=visit.times)


def process_word(state: str) -> str:
    """How one of the box's processes is."""
    return {"up": _("running"), "down": _("not running"), "starting": _("starting")}.get(state, plain(state))


def process_detail(detail: str) -> str:
    """What a process says of itself; the mail worker says it in a word (webmail/postman.py)."""
    told = {"linked": _("mailbox linked"), "not linked": _("no mailbox linked"), "paused": _("sending is paused")}
    return told.get(detail, plain(detail))
