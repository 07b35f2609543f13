"""What the stack's classes tell the agent, all of it on the SIP thread: protocols and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.sip.message import SipMessage


class StackError(Exception):
    """The stack said no: `status` is its pj_status_t, the message its own English words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class DialogState(Enum):
    """A call's dialog (RFC 3261's INVITE states, as far as the box cares)."""

    SETUP = "setup"
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Registration:
    """How a REGISTER ended. `answer` None: none came, and `code` and `phrase` are the stack's own."""

    account: str
    code: int
    phrase: str
    status: int
    active: bool
    answer: SipMessage | None
    source: str


@dataclass(frozen=True, slots=True)
class Media:
    """A call's sound: `flows` while it can be heard, `codec` as "PCMA/8000" ("" before any).

    `events`: the far end takes telephone events (RFC 4733).
    """

    flows: bool
    codec: str
    held: bool
    events: bool = True


class CallHandle(Protocol):
    """A call of the stack, as the agent steers it. Every method may raise StackError.

    `slot` is the stack's own number for it. When the handle is collected the stack hangs up whatever
    holds that slot by then: let go of it before the slot can be taken again. `local_tag` is our own tag in
    its dialog, "" before anything was sent.
    """

    slot: int
    local_tag: str

    @property
    def call_id(self) -> str:
        """Call-ID, "" for a call that is gone."""

    def ring(self) -> None:
        """180."""

    def accept(self) -> None:
        """200."""

    def hang_up(self, sip_code: int) -> None:
        """CANCEL, BYE or a final answer, as the dialog's state asks for; 0 is the stack's own choice."""

    def join(self, line: int) -> bool:
        """Join the call's sound with `line`; False while there is none yet."""

    def part(self) -> None:
        """Part them."""

    def hold(self, *, on: bool) -> None:
        """Re-INVITE that puts the far end on hold, or takes it back. Not while another one is under way."""

    def ask_for(self, codecs: Sequence[str]) -> None:
        """Re-INVITE that offers these codecs only ("PCMA", "PCMU"). Not while another one is under way."""

    def go_bare(self) -> None:
        """In the stream that runs: nothing concealed, a jitter buffer of one depth. Another stream begins as ever."""

    def dial(self, digit: str) -> None:
        """A telephone event (RFC 4733)."""

    def inform(self, digit: str) -> None:
        """An INFO (application/dtmf-relay); `StackHooks.on_digit_refused` follows if it is not taken."""

    def settle(self) -> float | None:
        """Read its sound where no packets come; in how many seconds to call again, None: never."""

    def media(self) -> Media:
        """How the sound stands."""

    def reading(self) -> StreamReading | None:
        """The counters of the sound's stream; None while there is none."""


SLOT_NOT_FREE = 480
"""`StackHooks.judge_incoming`'s answer when an older handle of the same slot is still about."""


class StackHooks(Protocol):
    """What the stack tells."""

    def on_registration(self, report: Registration) -> None:
        """A REGISTER ended."""

    def select_account(self, invite: SipMessage | None, source: str) -> str | None:
        """Whose an INVITE is; None: nobody's."""

    def judge_incoming(self, invite: SipMessage | None, source: str, slot: int) -> int:
        """Before a call is made of an INVITE: 0 to take it, or the final answer that refuses it."""

    def on_incoming(self, call: CallHandle, invite: SipMessage, source: str) -> None:
        """An INVITE has become a call; 100 was sent. `source` is the sender's HOST:PORT."""

    def codecs_for(self, call: CallHandle) -> Sequence[str]:
        """What to answer the far end's new offer with, the best first; none: whatever was used last."""

    def on_state(
        self, call: CallHandle, state: DialogState, code: int, phrase: str, message: SipMessage | None
    ) -> None:
        """The dialog's state changed (or was told again), by `message` if one was received."""

    def on_message(self, call: CallHandle, message: SipMessage) -> None:
        """A message of this call was received and has taken effect."""

    def on_media(self, call: CallHandle) -> None:
        """Media was (re)negotiated."""

    def on_digit_refused(self, call: CallHandle, digit: str) -> None:
        """An INFO with this digit was refused, or not answered for seconds."""

    def on_stream_end(self, call: CallHandle, last: StreamReading | None) -> None:
        """A stream of this call is about to end; `last` is how its counters stand."""

    def on_messages(self, notify: SipMessage, source: str) -> None:
        """A NOTIFY about a mailbox (RFC 3842), within a subscription of ours or unasked. `source`: HOST:PORT."""

    def on_log(self, text: str) -> None:
        """A line (or a whole message) of the stack's log."""

    def on_callback_error(self, where: str) -> None:
        """A callback of ours failed; the exception is being handled."""
