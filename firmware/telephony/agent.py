"""What the box asks of a SIP stack, and what it hears back.

`pjsua_agent.PjsuaAgent` is the implementation and the only pjsua2 import of the box;
`tests/fakes/agent.py` is the stand-in for tests of everything above it. Every method may be
called from the control loop and only queues; every event is delivered through `deliver`, from
the agent's own thread, and the receiver only queues.

Calls are named by a key that the box chooses for outgoing calls (from 1 up) and the agent for
incoming ones (from 1_000_000 up).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from firmware.telephony.events import Caller
from firmware.telephony.quality_meter import NetworkQuality

FIRST_INCOMING_KEY = 1_000_000


class Transport(Enum):
    """How an account reaches its registrar."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class DigitWay(Enum):
    """How the digits that are keyed in a call reach the far end.

    `AUTO`: telephone events (RFC 4733) where the far end takes them, else the tones themselves in the voice.
    """

    AUTO = "auto"
    EVENTS = "rfc4733"
    TONES = "inband"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class SipAccount:
    """One account as the agent needs it. `password` never appears in `repr`.

    `server` is HOST or HOST:PORT of the registrar and outbound proxy; `realm` "" means: the one
    that the registrar challenges with at first registration, then pinned (never `*` to others).
    `message_waiting`: ask its server whether messages wait (RFC 3842), and believe it.
    `packet_ms`: how much sound a packet holds, unless the far end asks for another length (`a=ptime`).
    `suppress_silence`: send nothing while the handset is silent, and let the far end do so (RFC 3389).
    `emergency_only`: a copy kept to call out with when nothing else works; it neither registers,
    whatever `register` says, nor takes calls.
    """

    name: str
    server: str
    user: str
    password: str = field(repr=False)
    auth_user: str = ""
    realm: str = ""
    transport: Transport = Transport.UDP
    number: str = ""
    display_name: str = ""
    register: bool = True
    expires_seconds: int = 300
    codecs: tuple[str, ...] = ("PCMA", "PCMU", "G722")
    packet_ms: int = 20
    digits: DigitWay = DigitWay.AUTO
    suppress_silence: bool = False
    ca_file: str = ""
    verify_tls: bool = True
    proxy: str = ""
    message_waiting: bool = False
    trusted_hosts: tuple[str, ...] = ()
    emergency_only: bool = False


@dataclass(frozen=True, slots=True)
class SipSettings:
    """The stack's own settings. `port` 0: any free port. `bind` "" is every interface.

    `rates_hz`: each line's samples a second, in the lines' order; 8000 where it says nothing.
    """

    port: int = 0
    bind: str = ""
    rtp_port: int = 0
    user_agent: str = "Allobox"
    stun_server: str = ""
    nameservers: tuple[str, ...] = ()
    max_calls: int = 4
    max_accounts: int = 8
    lines: int = 1
    rates_hz: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """The stack runs; `port` is the UDP port it listens on, `codecs` what this build of it has ("PCMA", "G722" ...)."""

    port: int
    codecs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentFailed:
    """The stack could not start or has died; `detail` says what and what to do."""

    detail: str


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """An account's registration. `sip_code` 0: not asked yet; `reason` is the server's words."""

    account: str
    registered: bool
    sip_code: int
    reason: str


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An INVITE that came from the account's own servers and matches it. 100 was sent, no more."""

    call: int
    account: str
    caller: Caller
    caller_uri: str
    call_id: str
    alert_info: str = ""


@dataclass(frozen=True, slots=True)
class CallProgress:
    """1xx. `media`: the answer carried SDP and sound can be heard (also PRACK-less 183)."""

    call: int
    sip_code: int
    media: bool
    call_id: str


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """200 and ACK: answered."""

    call: int
    call_id: str


@dataclass(frozen=True, slots=True)
class CallMedia:
    """Media (re)negotiated: `codec` as "PCMA/8000"; `held`: the far end put us on hold.

    `tones`: digits go as tones in the voice, so that those of the handset are not to be taken out of it.
    """

    call: int
    codec: str
    held: bool
    tones: bool = False


@dataclass(frozen=True, slots=True)
class DigitRefused:
    """The far end did not take this digit; it is to be sounded. A `CallMedia` has said so of those to come."""

    call: int
    digit: str


@dataclass(frozen=True, slots=True)
class CallMeasured:
    """What the network made of an answered call: as it is hung up, or just before its CallDisconnected."""

    call: int
    quality: NetworkQuality


@dataclass(frozen=True, slots=True)
class CallDisconnected:
    """Over. `sip_code` is the final answer's, or 200 for a BYE; `by_us`: we ended it."""

    call: int
    sip_code: int
    reason: str
    q850: int | None
    by_us: bool
    codec: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class MessagesWaiting:
    """What the account's own server says of its mailbox (RFC 3842): voice messages, None where it gave no number."""

    account: str
    waiting: bool
    new: int | None = None
    old: int | None = None


@dataclass(frozen=True, slots=True)
class CallsRefused:
    """A summary, at most one a minute: messages from strangers were dropped."""

    count: int
    example: str


AgentEvent = (
    AgentStarted
    | AgentFailed
    | RegistrationChanged
    | IncomingCall
    | CallProgress
    | CallConfirmed
    | CallMedia
    | CallMeasured
    | DigitRefused
    | CallDisconnected
    | CallsRefused
    | MessagesWaiting
)


@dataclass(frozen=True, slots=True)
class TraceMessage:
    """One SIP message of `allobox trace`, secrets already redacted. `at` is ISO 8601 UTC."""

    at: str
    outgoing: bool
    peer: str
    summary: str
    call_id: str
    text: str


class LinePort(Protocol):
    """One line in the conference bridge: what it said for the next tick, and what the last one brought it."""

    @property
    def joined(self) -> bool:
        """Whether a call is joined to this line."""
        ...

    def put(self, frame: bytes) -> None:
        """One frame (FRAME_BYTES) from the line, read at the next tick."""
        ...

    def get(self) -> bytes:
        """The frame of the last tick for the line; silence if it brought none."""
        ...


class Bridge(Protocol):
    """The conference bridge. `tick`, `put` and `get` come from one thread at a time (`bridgeclock`)."""

    def register_thread(self) -> None:
        """Make the calling thread known to the stack. Once, before any tick."""
        ...

    def line(self, line: int) -> LinePort | None:
        """The port of `line` (1, 2 ...); None if the stack has none for it."""
        ...

    def tick(self) -> None:
        """10 ms: read every source, mix, hand out."""
        ...


class SipAgent(Protocol):
    """A SIP stack in a thread of its own."""

    def start(self, settings: SipSettings, deliver: Callable[[AgentEvent], None]) -> None:
        """Start the thread; `AgentStarted` or `AgentFailed` follows."""
        ...

    def stop(self, timeout: float = 3.0) -> None:
        """Hang up, unregister, destroy; returns when done or after `timeout` seconds."""
        ...

    def set_accounts(self, accounts: Sequence[SipAccount]) -> None:
        """Make the accounts these: add, change and remove what differs. Running calls go on."""
        ...

    def register_now(self, account: str) -> None:
        """Try the registration again at once (the page's test button)."""
        ...

    def bridge(self) -> Bridge:
        """The bridge, after `AgentStarted`."""
        ...

    def invite(self, call: int, account: str, target: str, *, emergency: bool = False, anonymous: bool = False) -> None:
        """Call `target` (digits or E.164) by `account`. CallDisconnected if it cannot be.

        An emergency may take the last call slot, and pre-empts if there is none; an ordinary
        call that would need the last slot is refused with 503.
        """
        ...

    def ring(self, call: int) -> None:
        """180."""
        ...

    def answer(self, call: int) -> None:
        """200."""
        ...

    def end(self, call: int, sip_code: int = 0) -> None:
        """CANCEL, BYE, or the final refusal `sip_code` (default 603 before answer)."""
        ...

    def connect(self, call: int, line: int = 1) -> None:
        """Join the call's sound to `line`; holds until `disconnect` or its end."""
        ...

    def disconnect(self, call: int) -> None:
        """Part them."""
        ...

    def hold(self, call: int) -> None:
        """Put the far end on hold (RFC 3264 8.4), once answered; holds until `resume`, whatever is lost on the way."""
        ...

    def resume(self, call: int) -> None:
        """Take it back."""
        ...

    def fax(self, call: int) -> None:
        """It carries a fax: from now on (or once answered) G.711, a fixed jitter buffer, no concealment."""
        ...

    def send_digit(self, call: int, digit: str) -> None:
        """As the call's account wants it: a telephone event or an INFO. `DigitRefused` follows if neither can be."""
        ...

    def trace(self, limit: int) -> list[TraceMessage]:
        """The last messages, oldest first, secrets redacted. Safe from any thread."""
        ...
