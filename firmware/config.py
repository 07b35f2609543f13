"""Typed settings in `settings.toml`: helpful errors, secrets masked, saved atomically.

The core owns the file. A change is validated whole, written beside, fsynced and renamed; the
version before stays as `settings.toml.previous`. A file that cannot be read never silences the
telephone: the previous version serves, and the trouble is told.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from firmware.config_fields import (
    OFF,
    PRIVILEGED_PORTS,
    AccountRing,
    Address,
    AllowedNumbers,
    AlsaPeriods,
    AnnounceAbove,
    CallerRings,
    Caps,
    CardName,
    Classes,
    Codecs,
    DisplayName,
    EchoTail,
    GainDb,
    Name,
    OptionalAddress,
    OptionalServer,
    PhoneNumber,
    PinHash,
    PinLabel,
    Port,
    ReceiverPins,
    Ring,
    RtpPort,
    SampleRate,
    SerialBaud,
    SerialDevice,
    Server,
    SipUser,
    Text,
    TimeZone,
    WarnSeconds,
    changes_its_name,
)
from firmware.config_lines import MOST_LINES, conflict, merged, own_key, some_of
from firmware.rates.budget import ALLOWED_AT_FIRST, MAX_MINUTES, parse_caps
from firmware.rates.usage import ScopeKind
from firmware.store import write_atomically

MASK = "********"
MAX_FILE_BYTES = 1 << 20
MAX_PINS = 8


class ConfigError(ValueError):
    """A setting or the file is wrong. `where` is the dotted key or the file's name."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """One SIP account."""

    name: Name
    server: Server
    user: SipUser
    auth_user: Text = ""
    password: SecretStr = SecretStr("")
    transport: Literal["udp", "tcp", "tls"] = "udp"
    number: PhoneNumber = ""
    display_name: DisplayName = ""
    enabled: bool = True
    register_: bool = Field(default=True, alias="register")
    codecs: Codecs = ("PCMA", "PCMU", "G722")
    # Sound in a packet, in ms, unless the far end asks for another length.
    ptime: Literal[10, 20, 30, 40] = 20
    dtmf: Literal["auto", "rfc4733", "inband", "info"] = "auto"
    vad: bool = False
    proxy: OptionalServer = ""
    verify_tls: bool = True
    ca_file: Text = ""
    trusted_hosts: tuple[OptionalServer, ...] = ()
    ring_pattern: AccountRing = ""
    message_waiting: bool = False


class BoxSettings(_Section):
    """The household's own choices."""

    name: Text = "Allobox"
    country: Literal["FR", "DE", "UK", "US", "CH", "BE", "ES", "IT"] = "FR"
    language: Literal["fr", "en"] = "fr"
    timezone: TimeZone = "Europe/Paris"
    keep_calls_days: int = Field(default=1825, ge=30, le=36_500)


class GpioSettings(_Section):
    """Pins (BCM) and habits of an AG1170-class hat; see docs/hardware.md."""

    shk: int = Field(default=27, ge=0, le=53)
    rm: int = Field(default=17, ge=0, le=53)
    fr: int = Field(default=12, ge=0, le=53)
    pd: int | None = Field(default=None, ge=0, le=53)
    shk_active_high: bool = True
    hat: Literal["ag1170", "ag1171", "ks0835f"] = "ag1171"
    # "hat": as that module wants it.
    fr_idle: Literal["hat", "high", "low"] = "hat"
    pd_mode: Literal["hat", "none", "low", "high"] = "hat"
    trip_ms: int = Field(default=10, ge=1, le=150)
    mt8870: ReceiverPins = ()


class SerialSettings(_Section):
    """A hat with a microcontroller; see docs/serial-hat.md.

    No device: the only one that is plugged in. `line` is the hat's, 0: of the same number as the box's.
    """

    device: SerialDevice = ""
    baud: SerialBaud = 115200
    line: int = Field(default=0, ge=0, le=8)


class AlsaSettings(_Section):
    """The line's sound card, by ALSA name (never by index); "line" is what the image's asound.conf defines.

    `periods`: frames of 10 ms that the playback is ahead, 0: as few as hold.
    """

    capture: CardName = "default"
    playback: CardName = "default"
    periods: AlsaPeriods = 0


class LineSettings(_Section):
    """One analog line.

    `account` carries its calls before the others; `ring_accounts` are those whose calls ring it, empty: all.
    """

    driver: Literal["simulated", "gpio_slic", "serial_mcu"] = "simulated"
    # 16000: G.722 and Opus from mouth to ear, where the hat's codec can.
    sample_rate: SampleRate = 8000
    count: int = Field(default=1, ge=1, le=MOST_LINES)
    account: Text = ""
    ring_accounts: tuple[Text, ...] = ()
    pulse: bool = True
    caller_id: bool = True
    echo_canceller: bool = True
    echo_suppression: bool = False
    echo_tail_ms: EchoTail = 32
    automatic_gain: bool = False
    # "box": the country's levels by digital gains, for a hat whose codec has none of its own.
    gain_plan: Literal["codec", "box"] = "codec"
    gain_from_line_db: GainDb = 0.0
    gain_to_line_db: GainDb = 0.0
    hum_notch: Literal["off", "50", "60"] = "off"
    call_waiting: bool = True
    ring_limit_seconds: int = Field(default=120, ge=10, le=600)
    ring_pattern: Ring = "normal"
    ring_callers: CallerRings = ()
    alert_info: bool = True
    hang_up_guard_seconds: int = Field(default=0, ge=0, le=120)
    polarity_reversal: bool = False
    gpio: GpioSettings = GpioSettings()
    serial: SerialSettings = SerialSettings()
    alsa: AlsaSettings = AlsaSettings()


if TYPE_CHECKING:
    SomeLineSettings = BaseModel
else:
    SomeLineSettings = some_of(LineSettings)


class LinesSettings(LineSettings):
    """All analog lines: `line.KEY` is every line's, `line.N.KEY` that of line N where it differs."""

    line1: SomeLineSettings | None = Field(default=None, alias="1")
    line2: SomeLineSettings | None = Field(default=None, alias="2")
    line3: SomeLineSettings | None = Field(default=None, alias="3")
    line4: SomeLineSettings | None = Field(default=None, alias="4")

    def of(self, line: int) -> LineSettings:
        """Line `line`'s settings, 1 to 4."""
        own: BaseModel | None = getattr(self, f"line{line}")
        shared = self.model_dump(include=set(LineSettings.model_fields), by_alias=True)
        return LineSettings.model_validate(
            merged(shared, own.model_dump(exclude_none=True, by_alias=True) if own is not None else {})
        )

    def simulated(self) -> LinesSettings:
        """The same with no hardware on any line."""
        own = {name: getattr(self, name) for name in ("line1", "line2", "line3", "line4")}
        plain = {name: line and line.model_copy(update={"driver": None}) for name, line in own.items()}
        return self.model_copy(update={"driver": "simulated", **plain})

    @model_validator(mode="after")
    def _distinct(self) -> LinesSettings:
        trouble = conflict({line: self.of(line) for line in range(1, self.count + 1)})
        if trouble is not None:
            raise ValueError(trouble)
        return self


class SipSettings(_Section):
    """The SIP stack; port 0 is any free port, which scanners do not find. Its transports are IPv4."""

    port: Port = 0
    rtp_port: RtpPort = 0
    bind: OptionalAddress = ""
    nameservers: tuple[Address, ...] = ()


class CallsSettings(_Section):
    """What calls the household places (docs/budgets.md), and what it hears of their price (docs/announcements.md).

    `allow` are the classes of numbers, `allow_numbers` single numbers and prefixes that may be called; `caps` how much
    may be spent; `longest_minutes` how long a call may last that costs something (0: as long as it likes).
    `announce_above`: the price a minute above which a call is announced before it rings, or off; `warn_seconds`: how
    long before a call is cut its handset is warned.
    """

    announce_above: AnnounceAbove = "0.15"
    warn_seconds: WarnSeconds = (60, 10)

    allow: Classes = ALLOWED_AT_FIRST
    allow_numbers: AllowedNumbers = ()
    caps: Caps = ()
    longest_minutes: int = Field(default=0, ge=0, le=MAX_MINUTES)

    def said_above(self) -> Decimal | None:
        """The price above which a call is announced; None: none is."""
        return None if self.announce_above == OFF else Decimal(self.announce_above)


class PinSettings(_Section):
    """A PIN: its label, its hash, and what it allows besides what everybody may do."""

    label: PinLabel
    hash: PinHash = SecretStr("")
    classes: Classes = ()
    numbers: AllowedNumbers = ()


class PageSettings(_Section):
    """The local page."""

    hosts: tuple[Text, ...] = ("allobox.local", "allobox")
    credential: SecretStr = SecretStr("")


class MailSettings(_Section):
    """The mail worker."""

    ca_file: Text = ""


class Settings(_Section):
    """Everything in settings.toml."""

    box: BoxSettings = BoxSettings()
    line: LinesSettings = LinesSettings()
    sip: SipSettings = SipSettings()
    page: PageSettings = PageSettings()
    mail: MailSettings = MailSettings()
    calls: CallsSettings = CallsSettings()
    account: tuple[AccountSettings, ...] = ()
    pin: tuple[PinSettings, ...] = Field(default=(), max_length=MAX_PINS)

    def account_named(self, name: str) -> AccountSettings | None:
        """The account of that name, or None."""
        return next((account for account in self.account if account.name == name), None)

    def pin_named(self, label: str) -> PinSettings | None:
        """The PIN of that label, or None."""
        return next((pin for pin in self.pin if pin.label == label), None)


def parse(tree: Mapping[str, Any], source: str) -> Settings:
    """Settings from a TOML tree. Raises ConfigError naming key, value and what is allowed."""
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(*_explain(error, source)) from error
    names = [account.name for account in settings.account]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{source}: two accounts are called {twice!r}; give one of them another name", "account.name")
    labels = [pin.label for pin in settings.pin]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ConfigError(f"{source}: two PINs are called {twice!r}; give one of them another label", "pin.label")
    return settings


_TABLES: Mapping[int | str, type[BaseModel]] = {"account": AccountSettings, "pin": PinSettings}


def _explain(error: ValidationError, source: str) -> tuple[str, str]:
    """Each fault as "key: what, what to do", in one message, and the first key."""
    faults = []
    first = ""
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        first = first or key
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _known_keys(fault["loc"]), 1)
            told = "no such setting" + (f"; did you mean {near[0]!r}?" if near else "")
        else:
            told = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{key}: {told}")
    return f"{source}: " + "; ".join(faults[:20]), first


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if part in _TABLES:
            model = _TABLES[part]
        else:
            fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
            kind = fields.get(str(part))
            inner = next((one for one in (kind, *get_args(kind)) if isinstance(one, type)), None)
            if inner is not None and issubclass(inner, BaseModel):
                model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def to_tree(settings: Settings, *, secrets: Literal["clear", "mask", "omit"]) -> dict[str, Any]:
    """A plain tree for TOML or JSON; None values are left out (TOML has none)."""

    def plain(value: object) -> Any:
        match value:
            case BaseModel():
                pairs = (
                    (field.alias or name, getattr(value, name)) for name, field in type(value).model_fields.items()
                )
                return {
                    key: plain(inner)
                    for key, inner in pairs
                    if inner is not None and not (secrets == "omit" and isinstance(inner, SecretStr))
                }
            case SecretStr():
                clear = value.get_secret_value()
                return clear if secrets == "clear" or not clear else MASK
            case tuple():
                return [plain(inner) for inner in value]
            case _:
                return value

    return cast("dict[str, Any]", plain(settings))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Dotted keys: {"box.language": "fr", "account.0.name": ..}."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for index, inner in enumerate(value):
                flat |= flatten(inner, f"{prefix}{key}.{index}.")
        else:
            flat[prefix + key] = value
    return flat


def _typed(text: str, present: object) -> object:
    """`text` as the type that the setting has now; the model says what is wrong with it."""
    if isinstance(present, bool):
        words = {"true": True, "yes": True, "on": True, "1": True, "oui": True}
        words |= {"false": False, "no": False, "off": False, "0": False, "non": False}
        return words.get(text.strip().lower(), text)
    if isinstance(present, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text.strip() if not isinstance(present, str) else text


def _account_hint(field: str) -> str:
    """How an account's own setting is changed."""
    options = {"password": "--password-file FILE", "register": "--no-register", "enabled": "--disable"}
    options |= {"verify_tls": "--no-verify-tls", "message_waiting": "--message-waiting", "vad": "--vad"}
    named = {"server", "user", "auth_user", "transport", "number", "display_name", "proxy", "codecs", "ca_file"}
    named |= {"ring_pattern", "ptime", "dtmf"}
    option = options.get(field) or (f"--{field.replace('_', '-')}" if field in named else "--OPTION ...")
    return f"use `allobox account set NAME {option}`"


def remarks(settings: Settings) -> list[str]:
    """What is allowed but may not do what its owner hopes; one sentence each."""
    told = []
    port = settings.sip.port
    if 0 < port < PRIVILEGED_PORTS:
        told.append(f"sip.port {port}: ports below {PRIVILEGED_PORTS} need a privilege that the core may not have")
    devices = {settings.line.of(number).serial.device for number in range(1, settings.line.count + 1)}
    told += [
        f"line.serial.device {device}: another device may have this name after the next start; "
        "`ls /dev/serial/by-id` lists names that stay"
        for device in sorted(devices)
        if changes_its_name(device)
    ]
    for number in range(1, settings.line.count + 1) if settings.account else ():
        line = settings.line.of(number)
        if line.account and settings.account_named(line.account) is None:
            told.append(f"line {number}: no account is called {line.account!r}; its calls go by the others")
        unknown = [name for name in line.ring_accounts if settings.account_named(name) is None]
        if unknown:
            told.append(f"line {number}: no account is called {unknown[0]!r}; nothing of that name rings it")
    capped = {cap.scope.name for cap in parse_caps(settings.calls.caps) if cap.scope.kind is ScopeKind.PIN}
    told += [
        f"calls.caps: no PIN is called {label!r}; nothing counts for that cap"
        for label in sorted(capped)
        if settings.pin_named(label) is None
    ]
    return told


def with_setting(settings: Settings, key: str, text: str) -> Settings:
    """`settings` with one dotted key set from text. Raises ConfigError.

    `line.N.KEY` set to nothing is as `line.KEY` again.
    """
    tree = to_tree(settings, secrets="clear")
    own = own_key(key)
    if own is not None:
        return _with_own(tree, key, *own, text)
    *path, last = key.split(".")
    known = flatten(tree)
    node: Any = tree
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            break
    optional = key == "line.gpio.pd"  # None, hence absent from the tree
    settable = isinstance(node, dict) and (last in node or optional) and not isinstance(node.get(last), dict)
    if path[:1] == ["account"] or key == "account":
        raise ConfigError(f"{key}: no such setting; {_account_hint(last)}", key)
    if path[:1] == ["pin"] or key == "pin":
        raise ConfigError(f"{key}: no such setting; use `allobox budget pin set LABEL`", key)
    if not settable:
        near = difflib.get_close_matches(key, [name for name in known if not name.startswith(("account.", "pin."))], 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `allobox config show` lists them"
        raise ConfigError(f"{key}: no such setting{hint}", key)
    if key.startswith("page.credential"):
        raise ConfigError("page.credential: set the password on the page", key)
    if optional and not text.strip():
        node.pop(last, None)
    else:
        node[last] = _typed(text, node.get(last))
    return parse(tree, "settings")


def _with_own(tree: dict[str, Any], key: str, line: str, rest: str, text: str) -> Settings:
    """One line's own setting. Raises ConfigError."""
    if not 1 <= int(line) <= MOST_LINES:
        raise ConfigError(f"{key}: no such setting; lines are 1 to {MOST_LINES}", key)
    known = flatten({name: value for name, value in tree["line"].items() if name not in {"1", "2", "3", "4", "count"}})
    if rest not in known and rest != "gpio.pd":
        near = difflib.get_close_matches(rest, list(known), 1)
        raise ConfigError(f"{key}: no such setting" + (f"; did you mean 'line.{line}.{near[0]}'?" if near else ""), key)
    node = tree["line"].setdefault(line, {})
    *path, last = rest.split(".")
    for part in path:
        node = node.setdefault(part, {})
    if text.strip():
        node[last] = _typed(text, known.get(rest))
    else:
        node.pop(last, None)
    return parse(tree, "settings")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read, and what had to be told about it ("" if all is well)."""

    settings: Settings
    notice: str = ""


class SettingsFile:
    """`settings.toml` and its previous version. Used from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._previous = path.with_suffix(".toml.previous")

    def load(self) -> Loaded:
        """The settings; on trouble the previous version, else the defaults, with a notice."""
        try:
            return Loaded(read(self._path))
        except FileNotFoundError:
            if not self._previous.exists():
                return Loaded(Settings())  # a box that was never configured
            notice = f"{self._path.name} is missing"
        except (ConfigError, OSError) as error:
            notice = str(error)
        try:
            return Loaded(read(self._previous), f"{notice} (the previous settings serve until it is mended)")
        except (ConfigError, OSError):
            return Loaded(Settings(), f"{notice} (the default settings serve until it is mended)")

    def save(self, settings: Settings) -> None:
        """Write atomically and durably, keeping what was there as `.previous`. Raises OSError.

        A secret that goes, with its account or by a new one in its place, goes from both files: the
        new version is then its own previous one.
        """
        text = tomlkit.dumps(to_tree(settings, secrets="clear")).encode()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = _secrets(settings)
        before = _readable(self._path)
        forgets = before is not None and not _secrets(before[1]) <= fresh
        if before is not None and not forgets:
            write_atomically(self._previous, before[0])
        write_atomically(self._path, text)
        if forgets or not _harmless(self._previous, fresh):
            try:
                write_atomically(self._previous, text)
            except OSError:  # what is in force is saved; a disk that is full can still forget
                self._previous.unlink(missing_ok=True)


def _readable(path: Path) -> tuple[bytes, Settings] | None:
    """A settings file's bytes and meaning, or None: nothing, or nothing worth keeping."""
    try:
        raw = path.read_bytes()
        return raw, parse_text(raw, path.name)
    except (OSError, ConfigError):
        return None


def _secrets(settings: Settings) -> set[str]:
    found = {account.password.get_secret_value() for account in settings.account}
    found |= {pin.hash.get_secret_value() for pin in settings.pin}
    return (found | {settings.page.credential.get_secret_value()}) - {""}


def _harmless(path: Path, fresh: set[str]) -> bool:
    """Whether the file at `path` holds no secret but those of `fresh`."""
    found = _readable(path)
    return found is None or _secrets(found[1]) <= fresh


def read(path: Path) -> Settings:
    """One settings file. Raises ConfigError (line and column for bad TOML) or OSError."""
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path.name}: {len(raw)} bytes is no settings file (at most {MAX_FILE_BYTES})", path.name)
    return parse_text(raw, path.name)


def parse_text(raw: bytes | str, source: str) -> Settings:
    """Settings from TOML text. Raises ConfigError."""
    try:
        tree = tomllib.loads(raw.decode() if isinstance(raw, bytes) else raw)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{source}: not valid TOML: {error}", source) from error
    return parse(tree, source)


def changed_account(settings: Settings, name: str, changes: Mapping[str, object]) -> Settings:
    """`settings` with `changes` to one account. Raises ConfigError, KeyError."""
    tree = to_tree(settings, secrets="clear")
    found = next((account for account in tree["account"] if account["name"] == name), None)
    if found is None:
        raise KeyError(name)
    found.update(changes)
    return parse(tree, "settings")


def with_pin(
    settings: Settings, label: str, digest: str | None, classes: Sequence[str], numbers: Sequence[str]
) -> Settings:
    """`settings` with this PIN; `digest` is its hash, None: the one it has. Raises ConfigError."""
    tree = to_tree(settings, secrets="clear")
    fresh = {"label": label, "classes": list(classes), "numbers": list(numbers)}
    found = next((pin for pin in tree["pin"] if pin["label"] == label), None)
    if found is None:
        tree["pin"].append(fresh | {"hash": digest or ""})
    else:
        found.update(fresh if digest is None else fresh | {"hash": digest})
    return parse(tree, "settings")


def with_kept_pins(settings: Settings, before: Settings) -> Settings:
    """`settings` from a file without secrets: PINs of a label that there was keep their digits."""

    def kept(pin: PinSettings) -> PinSettings:
        known = before.pin_named(pin.label)
        given = pin.hash.get_secret_value()
        return pin if given or known is None else pin.model_copy(update={"hash": known.hash})

    return settings.model_copy(update={"pin": tuple(kept(pin) for pin in settings.pin)})
