"""BoxService: the one interface that the page, the mail worker and the command line see.

Shapes are plain JSON (TypedDicts), so that the Unix socket, `curl --unix-socket` and Python see
the same thing. `backoffice.BackOffice` implements it in the core; `control.BoxClient` carries it
over the socket. Replies are small: at most `MAX_ROWS` rows. Secrets never come out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, Protocol, TypedDict

MAX_ROWS = 200


class ServiceError(Exception):
    """A refusal in a person's words. `where` names the field, file or key; `status` as HTTP has it."""

    def __init__(self, message: str, *, status: int = 400, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.where = where


class BoxUnreachableError(ServiceError):
    """Nobody answers at the core's socket."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=503)


class LineRow(TypedDict):
    """One analog line. `state` as the state machine names it; `outlook` as `events.Outlook`."""

    line: int
    state: str
    hook: str
    ringing: bool
    outlook: str
    number: str | None
    fault: str | None


class AccountRow(TypedDict):
    """One SIP account, without its password."""

    name: str
    server: str
    user: str
    auth_user: str
    transport: str
    number: str
    display_name: str
    enabled: bool
    has_password: bool
    codecs: list[str]
    ptime: int
    dtmf: str
    vad: bool
    proxy: str
    registered: bool
    sip_code: int
    reason: str
    since: str | None
    deck: str | None


class AccountDraft(TypedDict):
    """What makes an account. Unknown keys are refused; `password` goes in and never comes out."""

    name: str
    server: str
    user: str
    auth_user: NotRequired[str]
    password: NotRequired[str]
    transport: NotRequired[str]
    number: NotRequired[str]
    display_name: NotRequired[str]
    enabled: NotRequired[bool]
    codecs: NotRequired[list[str]]
    ptime: NotRequired[int]
    dtmf: NotRequired[str]
    vad: NotRequired[bool]
    proxy: NotRequired[str]
    verify_tls: NotRequired[bool]
    ca_file: NotRequired[str]
    register: NotRequired[bool]
    ring_pattern: NotRequired[str]
    message_waiting: NotRequired[bool]


class ProcessRow(TypedDict):
    """The page or the mail worker, as the core sees it: `up` while its event stream is open."""

    state: str
    detail: str


class Status(TypedDict):
    """`allobox status --json`."""

    version: str
    lines: list[LineRow]
    accounts: list[AccountRow]
    page: ProcessRow
    mail: ProcessRow
    sip: ProcessRow
    country: str
    language: str
    started: str
    calls_today: int


class CallQuality(TypedDict):
    """What an answered call was like; docs/cli.md explains each key.

    `word`: excellent, good or poor (by `r_factor`, ITU-T G.107); None with `mos` and `r_factor` for a codec without
    figures in ITU-T G.113. Lengths in ms; `received` and `sent` as seen from the box. `fax` is not in older records.
    """

    word: str | None
    mos: float | None
    r_factor: float | None
    codec: str
    packet_ms: float
    sent: int
    received: int
    lost_received: int
    lost_sent: int
    lost_received_percent: float
    lost_sent_percent: float
    discarded: int
    concealed: int
    jitter_ms: float
    jitter_max_ms: float
    buffer_ms: float
    buffer_max_ms: float
    round_trip_ms: float | None
    delay_ms: float
    drift_ppm: float | None
    gaps: int
    drops: int
    xruns: int
    fax: NotRequired[bool]


class CallPlot(TypedDict):
    """A call's delay and loss, at most 120 points each, `seconds` apart."""

    seconds: int
    delay_ms: list[int]
    loss_percent: list[float]


# `class` is no name in Python, hence the functional form.
_CallClass = TypedDict("_CallClass", {"class": NotRequired[str | None]})


class CallRow(_CallClass):
    """One call record, `allobox calls --json`. Money is a decimal string with its currency.

    `quality` None: never answered, or not measured. `plot` comes only when the query asks for it. `class` is the
    number's, `pin` the label of the PIN that allowed it, `why` the route's explanation; `bundle`, `bundle_seconds`,
    `service_cost` and `tax` what `cost` is made of. None where nothing is known of it.
    """

    id: int
    direction: str
    line: int
    number: str | None
    name: str | None
    dialled: str | None
    account: str | None
    started: str
    answered: str | None
    seconds: int
    billed_seconds: int
    destination: str | None
    cost: str | None
    currency: str | None
    end: str
    sip_code: int
    call_id: str
    codec: str
    quality: NotRequired[CallQuality | None]
    plot: NotRequired[CallPlot | None]
    pin: NotRequired[str | None]
    bundle: NotRequired[str | None]
    bundle_seconds: NotRequired[int | None]
    service_cost: NotRequired[str | None]
    tax: NotRequired[str | None]
    why: NotRequired[dict[str, Any] | None]


# `allobox price --json`; `class` is the contracted key, hence the functional form. `cost` has four
# decimals, half up.
PriceAnswer = TypedDict(
    "PriceAnswer",
    {
        "number": str,
        "destination": str,
        "class": str,
        "account": str | None,
        "currency": str | None,
        "rate_per_minute": str | None,
        "connection_fee": str | None,
        "first_increment": int | None,
        "next_increment": int | None,
        "billed_seconds": int,
        "cost": str,
        "free": bool,
        "max_seconds": int | None,
        "deck": str | None,
        # What each account would ask, the first choice first: the keys of a call's `why` (docs/rates.md).
        "routes": NotRequired[list[dict[str, Any]]],
        # Within `cost`: the price of the service called, and the tax; what a bundle covers.
        "service_cost": NotRequired[str],
        "tax": NotRequired[str],
        "bundle": NotRequired[str | None],
        "bundle_seconds": NotRequired[int],
        "band": NotRequired[str],
        "parts": NotRequired[list[dict[str, Any]]],
    },
)


class PlanRow(TypedDict):
    """The terms of an account (account None: of all that have none of their own): a TOML file under DIR/decks."""

    name: str
    file: str
    account: str | None
    bands: list[str]
    bundles: list[str]
    active: bool


class DeckRow(TypedDict):
    """One rate deck: an immutable SQLite file under DIR/decks."""

    name: str
    file: str
    account: str | None
    rows: int
    currency: str
    imported: str
    active: bool


class CapRow(TypedDict):
    """A cap and what is spent of it: money as decimal strings, `since` the local date on which its period began.

    `cap` is the whole as settings write it. `held`: what running calls may come to besides, None: without end.
    `percent` of the money or time gone. What cannot be read now is None.
    """

    cap: str
    scope: str
    name: str
    period: str
    money: str | None
    minutes: int | None
    since: str
    spent: str | None
    spent_seconds: int | None
    held: str | None
    held_seconds: int | None
    percent: int | None


class PinRow(TypedDict):
    """A PIN without its digits: who it is, and what it allows besides what everybody may do."""

    label: str
    has_pin: bool
    classes: list[str]
    numbers: list[str]


class BudgetRow(TypedDict):
    """Budgets at a glance. `readable` False: what was spent cannot be read now, and capped calls are refused.

    `classes` are those that may be allowed or barred, `allow` those that are allowed; `currency` is the household's.
    """

    readable: bool
    currency: str
    caps: list[CapRow]
    classes: list[str]
    allow: list[str]
    allow_numbers: list[str]
    longest_minutes: int
    pins: list[PinRow]


class AlertRow(TypedDict):
    """What the household is told. `kind` cap: `percent` (80, 100) of `cap` is gone; refused: a call to `number`."""

    id: int
    at: str
    kind: str
    cap: NotRequired[str]
    scope: NotRequired[str]
    name: NotRequired[str]
    period: NotRequired[str]
    percent: NotRequired[int]
    spent: NotRequired[str]
    spent_seconds: NotRequired[int]
    money: NotRequired[str | None]
    minutes: NotRequired[int | None]
    number: NotRequired[str]
    line: NotRequired[int]
    reason: NotRequired[str]


class TraceRow(TypedDict):
    """One SIP message of the ladder, secrets redacted."""

    at: str
    outgoing: bool
    peer: str
    summary: str
    call_id: str
    text: str


class DoctorRow(TypedDict):
    """The line doctor's session, the one under way or the last. docs/line-doctor.md has the report's keys.

    `state`: idle (never asked), armed (waits for the handset to be lifted), running, examining, done,
    failed (`detail` says why). `step`: armed, welcome, noise, echo, dial, flash, thanks, call-waits,
    over. `keys`: those understood so far. `ending`: done, hung-up, time, call, emergency, cancelled,
    nobody. `report` is None until there is one.
    """

    state: str
    line: int | None
    step: str
    keys: str
    ending: str | None
    started: str | None
    detail: str
    report: dict[str, Any] | None


class LogRow(TypedDict):
    """One line of the core's log."""

    at: str
    level: str
    where: str
    message: str


class BoxEvent(TypedDict):
    """One event of the live stream. `kind`: line, account, call, rates, settings, process, doctor, alert."""

    kind: str
    data: dict[str, object]


class CallQuery(TypedDict, total=False):
    """A filter of the call list; rows come newest first. `before` and `after` are record ids."""

    limit: int
    before: int
    after: int
    direction: str
    end: str
    search: str
    since: str
    until: str
    missed: bool
    oldest_first: bool
    plot: bool


class BoxService(Protocol):
    """The box, as everybody outside the core sees it. Every method may raise ServiceError."""

    def status(self) -> Status:
        """Everything at a glance."""
        ...

    def calls(self, query: CallQuery) -> list[CallRow]:
        """Finished call records, at most MAX_ROWS."""
        ...

    def accounts(self) -> list[AccountRow]:
        """All accounts with their registration in words."""
        ...

    def add_account(self, draft: AccountDraft) -> AccountRow:
        """Add an account; saved and applied, or refused whole."""
        ...

    def change_account(self, name: str, changes: Mapping[str, object]) -> AccountRow:
        """Change some keys of an account (those of AccountDraft); an absent password stays."""
        ...

    def remove_account(self, name: str) -> None:
        """Remove an account."""
        ...

    def test_account(self, name: str) -> AccountRow:
        """Register now and tell how it went (waits up to 8 s)."""
        ...

    def settings(self) -> dict[str, object]:
        """Flat settings by dotted key, e.g. `line.pulse`; secrets masked as `********`."""
        ...

    def change_setting(self, key: str, value: str) -> None:
        """Set one setting from text; applied at once, or refused with what is allowed."""
        ...

    def export_settings(self) -> str:
        """The settings as TOML, secrets left out."""
        ...

    def import_settings(self, text: str) -> None:
        """Replace the settings by this TOML; secrets of accounts that stay are kept."""
        ...

    def price(self, number: str, seconds: int, at: str | None) -> PriceAnswer:
        """What a call of `seconds` to `number` costs at ISO time `at` (default now)."""
        ...

    def decks(self) -> list[DeckRow]:
        """The rate decks."""
        ...

    def activate_deck(self, file: str, name: str, account: str | None) -> DeckRow:
        """Take a deck file that lies in DIR/decks into use (for one account, or for all)."""
        ...

    def remove_deck(self, name: str) -> None:
        """Take a deck out of use."""
        ...

    def plans(self) -> list[PlanRow]:
        """The plans: time bands, bundles, tax and rounding of accounts."""
        ...

    def set_plan(self, file: str, account: str | None) -> PlanRow:
        """Take a plan file that lies in DIR/decks into use (for one account, or for all)."""
        ...

    def remove_plan(self, account: str | None) -> None:
        """An account goes by its deck alone (account None: all that have no plan of their own)."""
        ...

    def budgets(self) -> BudgetRow:
        """Caps with what is spent of them, what may be called, and the PINs' labels."""
        ...

    def set_pin(self, label: str, pin: str | None, classes: list[str], numbers: list[str]) -> BudgetRow:
        """Make a PIN, or change what it allows (`pin` None: its digits stay)."""
        ...

    def remove_pin(self, label: str) -> None:
        """Forget a PIN."""
        ...

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        """What the household was told of its budgets, oldest first, by ids above `after`; at most MAX_ROWS."""
        ...

    def ring_test(self, line: int) -> None:
        """Ring the telephone for three rings; lifting ends it."""
        ...

    def doctor(self) -> DoctorRow:
        """The line doctor's session and report."""
        ...

    def start_doctor(self, line: int) -> DoctorRow:
        """Examine a line and its telephone: now if the handset is lifted, else as soon as it is (within a minute)."""
        ...

    def stop_doctor(self) -> None:
        """End the line doctor's session; nothing is examined."""
        ...

    def trace(self, limit: int) -> list[TraceRow]:
        """The last SIP messages, oldest first."""
        ...

    def logs(self, limit: int) -> list[LogRow]:
        """The core's last log lines, oldest first."""
        ...

    def page_credential(self) -> str | None:
        """The page's argon2id hash, or None before set-up."""
        ...

    def set_page_credential(self, credential: str) -> None:
        """Store the page's argon2id hash."""
        ...

    def check_setup_code(self, code: str) -> bool:
        """Whether this is the code that the handset speaks (service code *00#); five tries, then a new one."""
        ...

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        """The live stream. `role` page or mail marks that process as up while it listens."""
        ...


class MailServer(TypedDict):
    """One mail server: `security` is tls or starttls."""

    host: str
    port: int
    security: str
    user: str


class MailStatus(TypedDict):
    """The linked mailbox, as the page shows it."""

    linked: bool
    address: str | None
    imap: MailServer | None
    smtp: MailServer | None
    language: str
    phrase: str
    queued: int
    sent: int
    last_error: str | None
    last_sent: str | None


class MailLink(TypedDict):
    """What links a mailbox. Without servers they come from the presets."""

    address: str
    password: str
    imap: NotRequired[MailServer]
    smtp: NotRequired[MailServer]
    phrase: NotRequired[str]
    notify: NotRequired[str]


class MailService(Protocol):
    """The mail worker's own socket, for the page only: passwords never pass through the core."""

    def mail_status(self) -> MailStatus:
        """What is linked and how it goes."""
        ...

    def mail_presets(self, address: str) -> dict[str, MailServer] | None:
        """Servers for an address: {"imap": .., "smtp": ..}, or None when they must be typed."""
        ...

    def mail_link(self, link: MailLink) -> MailStatus:
        """Try both logins, then keep the account encrypted; the server's own words if refused."""
        ...

    def mail_unlink(self) -> None:
        """Forget the account and its secret."""
        ...

    def mail_test(self) -> MailStatus:
        """Send a test mail now."""
        ...
