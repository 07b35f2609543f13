"""The last SIP messages, secrets redacted, and their ladder for `allobox trace`.

`TraceRing` takes the stack's log lines (the only place that shows every message as it crossed the
wire) and keeps those that are messages; `ladder` draws them call by call. Bounded in number and size.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from datetime import UTC, datetime

from firmware.clock import Clock
from firmware.telephony.agent import TraceMessage

MAX_MESSAGES = 400
_END = "--end msg--"
_HEAD_WORDS = 6  # at least: way, size, "bytes", "to" or "from", transport, peer
# Everything that proves a password, or could help to guess one.
_SECRET_HEADER = re.compile(
    r"^((?:proxy-)?authorization|authentication-info)\s*:(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE
)
_REALM = re.compile(r'realm="[^"]*"', re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"\b(password|passwd|token|secret)=([^\s;&,>]+)", re.IGNORECASE)
_BEFORE_AT = re.compile(r"[^\s@<>]+@?")
_USER_PASSWORD = re.compile(r"(sips?:[^:;]+):.+", re.IGNORECASE)
_SRTP_KEY = re.compile(r"(inline:)[A-Za-z0-9+/=]+")
_CALL_ID = re.compile(r"^(?:call-id|i)\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(r"^cseq\s*:\s*\d+\s+(\S+)", re.IGNORECASE | re.MULTILINE)
REDACTED = "[redacted]"
_WIDTH = 46


class TraceRing:
    """The last messages. `feed` on the SIP thread, `last` on any."""

    def __init__(self, clock: Clock, capacity: int = MAX_MESSAGES) -> None:
        self._clock = clock
        self._ring: deque[TraceMessage] = deque(maxlen=capacity)
        self._lock = threading.Lock()

    def feed(self, log_line: str) -> bool:
        """Keep `log_line` if it is a whole message; whether it was."""
        head, _, body = log_line.partition(":\n")
        line = _head(head)
        if line is None:
            return False
        outgoing, peer = line
        text = redact(body.rstrip().removesuffix(_END).rstrip())
        call_id = _CALL_ID.search(text)
        message = TraceMessage(
            at=self._clock.wall().astimezone(UTC).isoformat(timespec="milliseconds"),
            outgoing=outgoing,
            peer=peer,
            summary=summary(text),
            call_id=call_id[1] if call_id else "",
            text=text,
        )
        with self._lock:
            self._ring.append(message)
        return True

    def last(self, limit: int) -> list[TraceMessage]:
        """The last `limit` messages, oldest first."""
        with self._lock:
            messages = list(self._ring)
        return messages[-limit:] if limit > 0 else []


def _head(head: str) -> tuple[bool, str] | None:
    """Whether it left, and its peer, of `TX 512 bytes Request msg ... to UDP 192.0.2.1:5060`; None for another line.

    Words, not an expression: whatever a stranger sends costs time in proportion to its length.
    """
    words = head.split()
    if len(words) < _HEAD_WORDS or "\n" in head.strip():
        return None
    way, size, unit, (direction, kind, peer) = *words[:3], words[-3:]
    if way not in {"TX", "RX"} or not size.isdigit() or unit != "bytes" or direction not in {"to", "from"}:
        return None
    return way == "TX", f"{kind.lower()}:{peer}"


def redact(text: str) -> str:
    """A message without digests, passwords and media keys; the realm stays, for it explains failures."""

    def cover(match: re.Match[str]) -> str:
        realm = _REALM.search(match[2])
        return f"{match[1]}: {realm[0] + ' ' if realm else ''}{REDACTED}"

    def cover_password(match: re.Match[str]) -> str:
        word = match[0]
        return _USER_PASSWORD.sub(rf"\1:{REDACTED}@", word, count=1) if word.endswith("@") else word

    text = _SECRET_HEADER.sub(cover, text)
    # Two steps, for one expression over the whole text would try every "sip:" up to the end of its word.
    text = _BEFORE_AT.sub(cover_password, text)
    text = _without_digits(text)
    text = _SRTP_KEY.sub(rf"\1{REDACTED}", text)
    return _SECRET_PARAMETER.sub(rf"\1={REDACTED}", text)


def _without_digits(text: str) -> str:
    """A digit keyed in a call may be one of a bank's code (application/dtmf-relay, application/dtmf)."""
    head, blank, body = text.partition("\n\n") if "\r\n\r\n" not in text else text.partition("\r\n\r\n")
    return head + blank + REDACTED if body and "application/dtmf" in head.lower() else text


def summary(text: str) -> str:
    """One line: `INVITE sip:3699@host`, `183 Session Progress (INVITE) +SDP`."""
    first = text.lstrip().split("\n", 1)[0].strip()
    sdp = " +SDP" if re.search(r"^v=0", text, re.MULTILINE) else ""
    if first.upper().startswith("SIP/2.0 "):
        method = _CSEQ.search(text)
        return f"{first[8:]} ({method[1]}){sdp}" if method else first[8:] + sdp
    return first.rsplit(" SIP/", 1)[0] + sdp


def ladder(messages: list[TraceMessage]) -> str:
    """The ladder of each call (Call-ID) in `messages`, in the order of their first message."""
    calls: dict[str, list[TraceMessage]] = {}
    for message in messages:
        calls.setdefault(message.call_id, []).append(message)
    return "\n\n".join(_one(call_id, steps) for call_id, steps in calls.items())


def _one(call_id: str, steps: list[TraceMessage]) -> str:
    start = _instant(steps[0].at)
    peers = list(dict.fromkeys(s.peer for s in steps))
    lines = [f"Call-ID {call_id or '(none)'}  {steps[0].at}", f"{'':10} box{'':{_WIDTH - 3}}{peers[0]}"]
    for step in steps:
        after = (_instant(step.at) - start).total_seconds()
        label = step.summary if len(step.summary) <= _WIDTH - 6 else step.summary[: _WIDTH - 7] + "…"
        body = f" {label} ".center(_WIDTH - 2, "-")
        arrow = f"|{body}>|" if step.outgoing else f"|<{body}|"
        other = f"  {step.peer}" if step.peer != peers[0] else ""
        lines.append(f"+{after:8.3f}  {arrow}{other}")
    return "\n".join(lines)


def _instant(at: str) -> datetime:
    return datetime.fromisoformat(at)
