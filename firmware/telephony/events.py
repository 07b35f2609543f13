"""What happens to a line and to a call, and what they order: frozen values only.

`line.LineMachine` takes a `LineEvent` and returns `LineCommand`s; `call.CallMachine` takes a
`CallEvent` and returns `CallCommand`s; `calls.Switchboard` carries them between the line, the
calls, the SIP agent and the ledger. Times are monotonic seconds, handed in beside the event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Literal


class Tone(Enum):
    """Call-progress tones by their standard names; `fxs.tones` renders a country's."""

    DIAL = "dial"
    SPECIAL_DIAL = "special-dial"
    STUTTER = "stutter"
    RINGBACK = "ringback"
    BUSY = "busy"
    CONGESTION = "congestion"
    SIT = "sit"
    HOWLER = "howler"
    CALL_WAITING = "call-waiting"
    CONFIRMATION = "confirmation"


class Words(Enum):
    """Spoken sentences; `announcements` holds their text and speech."""

    NO_ACCOUNT = "no-account"
    NOT_REGISTERED = "not-registered"
    NO_NETWORK = "no-network"
    UNASSIGNED = "unassigned"
    NUMBER_CHANGED = "number-changed"
    INVALID_NUMBER = "invalid-number"
    UNAVAILABLE = "unavailable"
    NO_ROUTE = "no-route"
    REFUSED = "refused"
    BARRED = "barred"
    NO_CREDIT = "no-credit"
    PREMIUM_BARRED = "premium-barred"
    SATELLITE_BARRED = "satellite-barred"
    UNKNOWN_BARRED = "unknown-barred"
    BUDGET_DAY = "budget-day"
    BUDGET_MONTH = "budget-month"
    BUDGET_CLASS = "budget-class"
    BUDGET_LINE = "budget-line"
    BUDGET_PIN = "budget-pin"
    BUDGET_CUT = "budget-cut"
    PIN_ENTER = "pin-enter"
    PIN_WRONG = "pin-wrong"
    PIN_REFUSED = "pin-refused"
    ANONYMOUS_REFUSED = "anonymous-refused"
    ALL_LINES_BUSY = "all-lines-busy"
    EMERGENCY_FAILED = "emergency-failed"
    TECHNICAL = "technical"
    UNKNOWN_SERVICE = "unknown-service"
    SETUP_CODE = "setup-code"
    DOCTOR_QUIET = "doctor-quiet"
    DOCTOR_DIAL = "doctor-dial"
    DOCTOR_FLASH = "doctor-flash"
    DOCTOR_DONE = "doctor-done"
    DOCTOR_CALL = "doctor-call"
    DOCTOR_BUSY = "doctor-busy"


class Outlook(Enum):
    """What a lifted handset may hope for."""

    READY = "ready"
    NO_ACCOUNT = "no-account"
    UNREGISTERED = "unregistered"
    NO_NETWORK = "no-network"


class AbsenceReason(Enum):
    """Why no number or name can be shown (ETSI EN 300 659-3: O not available, P withheld)."""

    UNAVAILABLE = "O"
    PRIVATE = "P"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `number` as a telephone displays it (national form), or None with a reason."""

    number: str | None = None
    name: str | None = None
    absence: AbsenceReason | None = None


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a failed or ended call sounds: words once (if any), then the tone."""

    tone: Tone
    words: Words | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """What a call costs, to be said before it rings: `price` a minute or for the whole call, `fee` for the connection,
    in `currency` (ISO 4217). `remaining` money and `remaining_seconds` are what the budget has left; None: no cap.
    """

    price: Decimal
    per: Literal["minute", "call"]
    currency: str
    fee: Decimal = Decimal(0)
    remaining: Decimal | None = None
    remaining_seconds: int | None = None

    def above(self, threshold: Decimal | None) -> bool:
        """Whether minute, call or connection costs more than the household lets pass unsaid (None: anything)."""
        return threshold is not None and max(self.price, self.fee) > threshold

    def dearer(self, heard: Announce | None) -> bool:
        """Whether it says anything worse than what was `heard` already."""
        if heard is None or (self.per, self.currency) != (heard.per, heard.currency):
            return True
        return self.price > heard.price or self.fee > heard.fee


class EndedBy(Enum):
    """The call record's `end`. DECLINED: hung up on the price or at the PIN; nothing left the box."""

    CALLER = "caller"
    CALLEE = "callee"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    CREDIT = "credit"
    DECLINED = "declined"
    BOX = "box"
    ELSEWHERE = "elsewhere"


# --- events to the line ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OffHook:
    """The handset was lifted (debounced)."""


@dataclass(frozen=True, slots=True)
class OnHook:
    """The handset was hung up (debounced, longer than any flash)."""


@dataclass(frozen=True, slots=True)
class Flash:
    """A hook flash (R key) within the country's window."""


@dataclass(frozen=True, slots=True)
class DigitDialled:
    """One digit, `0-9 * # A-D`, by tone or by pulses."""

    digit: str
    pulse: bool = False


@dataclass(frozen=True, slots=True)
class DigitUnclear:
    """A digit was dialled and nobody knows which: the number around it is wrong."""


class Timer(Enum):
    """The line's timers; one of each at most runs."""

    FIRST_DIGIT = "first-digit"
    INTER_DIGIT = "inter-digit"
    TREATMENT = "treatment"
    HOWLER = "howler"
    RING_LIMIT = "ring-limit"
    SUSPEND = "suspend"
    GUARD = "guard"
    PAUSE = "pause"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the line started has run out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Alerting:
    """The far end rings (180): local ringback, unless early media is already heard."""

    call: int


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """The far end sends sound before answering (183 with SDP): it beats local ringback."""

    call: int


@dataclass(frozen=True, slots=True)
class Rerouted:
    """The first route failed and the next is tried: what was heard of the first is over."""

    call: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end answered."""

    call: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The call will not be: treat the caller."""

    call: int
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class Released:
    """The far end ended an answered call; or the box did, and `treatment` says why."""

    call: int
    treatment: Treatment | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """The call has not left yet: say what it costs, then let it (`Proceed`)."""

    call: int
    announce: Announce


@dataclass(frozen=True, slots=True)
class PinWanted:
    """The call leaves only with a PIN: ask for one (`EnterPin`). `again`: the last was wrong."""

    call: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Warned:
    """The answered call will be cut in `seconds`: tell the handset, and nobody else."""

    call: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Offered:
    """A call comes in for this line."""

    call: int
    caller: Caller
    pattern: str = "normal"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The caller gave up, or somebody else answered, before this line did."""

    call: int


@dataclass(frozen=True, slots=True)
class OutlookChanged:
    """Registration or network changed."""

    outlook: Outlook


@dataclass(frozen=True, slots=True)
class MessagesChanged:
    """Whether messages wait in any account's mailbox: the dial tone stutters then."""

    waiting: bool


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The announcement that was playing has come to its end."""


LineEvent = (
    OffHook
    | OnHook
    | Flash
    | DigitDialled
    | DigitUnclear
    | TimerFired
    | Alerting
    | EarlyMedia
    | Rerouted
    | Answered
    | Failed
    | Released
    | Priced
    | PinWanted
    | Warned
    | Offered
    | Withdrawn
    | OutlookChanged
    | MessagesChanged
    | SpeechEnded
)

# --- commands of the line -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayTone:
    """Play a tone for ever, in place of whatever the handset heard."""

    tone: Tone


@dataclass(frozen=True, slots=True)
class Speak:
    """Play a sentence once, in place of whatever the handset heard; `SpeechEnded` follows."""

    words: Words
    digits: str = ""


@dataclass(frozen=True, slots=True)
class SpeakPrice:
    """Say what the call costs, once, in place of whatever the handset heard; `SpeechEnded` follows."""

    announce: Announce


@dataclass(frozen=True, slots=True)
class Warn:
    """A beep and a word over the far voice: the call will be cut in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PlayNothing:
    """Silence from the box: no tone, no words."""


@dataclass(frozen=True, slots=True)
class ListenForDigits:
    """Whether digits are wanted (they stay on in a call, to be sent as RFC 4733)."""

    on: bool


@dataclass(frozen=True, slots=True)
class StartRinging:
    """Ring in the country's cadence, caller ID after (or before) the first ring."""

    caller: Caller
    pattern: str = "normal"


@dataclass(frozen=True, slots=True)
class StopRinging:
    """No more ring voltage."""


@dataclass(frozen=True, slots=True)
class SetPolarity:
    """The battery's polarity; reversed while a call that the line placed stands answered, if the line is set so."""

    reverse: bool


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Call these digits as dialled. `call` is the line's new key for it."""

    call: int
    digits: str


@dataclass(frozen=True, slots=True)
class Proceed:
    """The price was heard, or skipped: the call may leave."""

    call: int


@dataclass(frozen=True, slots=True)
class EnterPin:
    """A PIN was dialled for the call. Its digits go nowhere else, and into no log."""

    call: int
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UseService:
    """A service code was dialled in full, e.g. `*21*0142685300#`."""

    code: str


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """Take the incoming call."""

    call: int


@dataclass(frozen=True, slots=True)
class RefuseCall:
    """Do not take the incoming call; `busy` tells 486 from 480 (nobody answered)."""

    call: int
    busy: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call, whatever its state."""

    call: int


@dataclass(frozen=True, slots=True)
class ConnectVoice:
    """Join the handset to the call's sound (early or answered)."""

    call: int


@dataclass(frozen=True, slots=True)
class DisconnectVoice:
    """Part the handset from the call's sound."""

    call: int


@dataclass(frozen=True, slots=True)
class SignalWaiting:
    """Tell the handset, in its call, that another waits: the tone over the voice, caller ID off-hook."""

    caller: Caller


@dataclass(frozen=True, slots=True)
class StopWaiting:
    """No more of that: nobody waits, or he was taken."""


@dataclass(frozen=True, slots=True)
class HoldCall:
    """Put the answered call on hold; it stays up."""

    call: int


@dataclass(frozen=True, slots=True)
class ResumeCall:
    """Take the call back from hold."""

    call: int


@dataclass(frozen=True, slots=True)
class SendDigit:
    """Send a digit into the call. `pulse`: it came by a dial, so that the voice holds no tone of it."""

    call: int
    digit: str
    pulse: bool = False


@dataclass(frozen=True, slots=True)
class StartTimer:
    """(Re)start a timer: `TimerFired` in `seconds`."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget a timer."""

    timer: Timer


LineCommand = (
    PlayTone
    | Speak
    | SpeakPrice
    | Warn
    | PlayNothing
    | ListenForDigits
    | StartRinging
    | StopRinging
    | SetPolarity
    | PlaceCall
    | Proceed
    | EnterPin
    | UseService
    | AnswerCall
    | RefuseCall
    | HangUp
    | ConnectVoice
    | DisconnectVoice
    | SignalWaiting
    | StopWaiting
    | HoldCall
    | ResumeCall
    | SendDigit
    | StartTimer
    | StopTimer
)

# --- events to a call -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """One way out: an account, what to dial on it, how long the budget lets it last, what is said before
    it is taken, and whether that takes a PIN.
    """

    account: str
    target: str
    max_seconds: float | None = None
    announce: Announce | None = None
    needs_pin: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Call out by the first route that carries it; empty `routes` fails with `no_route`."""

    routes: tuple[Route, ...]
    emergency: bool = False
    no_route: Treatment = Treatment(Tone.CONGESTION, Words.NO_ROUTE)


@dataclass(frozen=True, slots=True)
class LineProceeds:
    """The handset has heard the price, or skipped it."""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The PIN was right: these are the routes that it opens; empty `routes` fails with `no_route`."""

    routes: tuple[Route, ...]
    no_route: Treatment = Treatment(Tone.CONGESTION, Words.NO_ROUTE)


@dataclass(frozen=True, slots=True)
class PinFailed:
    """The PIN was wrong. `final`: no other is taken now."""

    final: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """An INVITE of an account's own server, checked; `pattern` is how it rings (`ringing`)."""

    caller: Caller
    pattern: str = "normal"


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional answer. `media`: it carries SDP and sound flows."""

    sip_code: int
    media: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Answered, by whichever side."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The dialog is over. `sip_code` 200 is a normal BYE; `q850` from Reason (RFC 3326)."""

    sip_code: int
    reason: str = ""
    q850: int | None = None


@dataclass(frozen=True, slots=True)
class LineAnswers:
    """The handset was lifted on this incoming call."""


@dataclass(frozen=True, slots=True)
class LineRefuses:
    """No handset took it (`busy`: the line was in use)."""

    busy: bool


@dataclass(frozen=True, slots=True)
class LineHangsUp:
    """The handset ended it."""


class CallTimer(Enum):
    """A call's timers."""

    SETUP = "setup"
    NO_ANSWER = "no-answer"
    MAX_DURATION = "max-duration"
    RETRY = "retry"
    RELEASE = "release"
    PREPARE = "prepare"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class CallTimerFired:
    """A timer of this call has run out."""

    timer: CallTimer


CallEvent = (
    Place
    | LineProceeds
    | Unlocked
    | PinFailed
    | Offer
    | Progress
    | Confirmed
    | Disconnected
    | LineAnswers
    | LineRefuses
    | LineHangsUp
    | CallTimerFired
)

# --- commands of a call ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invite:
    """Send an INVITE by this route; `emergency` may use the reserved slot and pre-empts."""

    route: Route
    emergency: bool


@dataclass(frozen=True, slots=True)
class SendRinging:
    """180 to the caller."""


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """200 to the caller."""


@dataclass(frozen=True, slots=True)
class SendEnd:
    """CANCEL, BYE or a final refusal with `sip_code`, whichever the dialog's state asks for."""

    sip_code: int = 0


@dataclass(frozen=True, slots=True)
class TellLine:
    """Hand this event to the call's line."""

    event: (
        Alerting
        | EarlyMedia
        | Rerouted
        | Answered
        | Failed
        | Released
        | Priced
        | PinWanted
        | Warned
        | Offered
        | Withdrawn
    )


@dataclass(frozen=True, slots=True)
class RecordStart:
    """Open the call record (before the INVITE leaves or the telephone rings)."""


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """Stamp the answer; billing starts."""


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """Close the record."""

    ended_by: EndedBy
    sip_code: int


@dataclass(frozen=True, slots=True)
class StartCallTimer:
    """(Re)start a timer of this call."""

    timer: CallTimer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopCallTimer:
    """Forget a timer of this call."""

    timer: CallTimer


@dataclass(frozen=True, slots=True)
class Forget:
    """The call is over and recorded; drop it."""


CallCommand = (
    Invite
    | SendRinging
    | SendAnswer
    | SendEnd
    | TellLine
    | RecordStart
    | RecordAnswer
    | RecordEnd
    | StartCallTimer
    | StopCallTimer
    | Forget
)
