"""Typed settings in `settings.toml`: helpful errors, secrets masked, saved atomically.

The core owns the file. A change is validated whole, written beside, fsynced and renamed; the
version before stays as `settings.toml.previous`. A file that cannot be read never silences the
telephone: the previous version serves, and the trouble is told.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from zoneinfo import available_timezones

import tomlkit
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from firmware.store import write_atomically

MASK = "********"
MAX_FILE_BYTES = 1 << 20
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?)*\.?)(?::([0-9]{1,5}))?\Z"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_MAX_PORT = 65535


class ConfigError(ValueError):
    """A setting or the file is wrong. `where` is the dotted key or the file's name."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where


def _server(value: str) -> str:
    found = _HOST.match(value)
    if not value or not found:
        raise ValueError(f"{value!r} is not HOST or HOST:PORT (for example sip.example.org:5060)")
    if found[1] and not 1 <= int(found[1]) <= _MAX_PORT:
        raise ValueError(f"port {found[1]} is not between 1 and 65535")
    return value


def _optional_server(value: str) -> str:
    return _server(value) if value else value


def _plain(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control and text-direction characters are not allowed")
    return value


def _sip_token(value: str) -> str:
    if not value or re.search(r"[\s<>\"@;?\x00-\x1f\x7f]", value):
        raise ValueError(f"{value!r} is not a SIP user name: no spaces, quotes, angle brackets, @ ; or ?")
    return value


def _number(value: str) -> str:
    if value and not re.fullmatch(r"\+[1-9][0-9]{3,14}", value):
        raise ValueError(f"{value!r} is not an E.164 number: + and 4 to 15 digits (for example +33142685300)")
    return value


def _timezone(value: str) -> str:
    if value not in available_timezones():
        near = difflib.get_close_matches(value, available_timezones(), 1)
        raise ValueError(f"{value!r} is not a time zone" + (f"; did you mean {near[0]!r}?" if near else ""))
    return value


Name = Annotated[str, Field(pattern=r"^[\w .-]{1,40}$"), AfterValidator(_plain)]
Text = Annotated[str, Field(max_length=128), AfterValidator(_plain)]
Server = Annotated[str, Field(max_length=255), AfterValidator(_server)]
OptionalServer = Annotated[str, Field(max_length=255), AfterValidator(_optional_server)]
SipUser = Annotated[str, Field(max_length=128), AfterValidator(_sip_token)]
Codec = Literal["PCMA", "PCMU", "G722"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """One SIP account."""

    name: Name
    server: Server
    user: SipUser
    auth_user: Annotated[str, Field(max_length=128), AfterValidator(_plain)] = ""
    password: SecretStr = SecretStr("")
    transport: Literal["udp", "tcp", "tls"] = "udp"
    number: Annotated[str, AfterValidator(_number)] = ""
    display_name: Text = ""
    enabled: bool = True
    register_: bool = Field(default=True, alias="register")
    codecs: tuple[Codec, ...] = ("PCMA", "PCMU", "G722")
    proxy: OptionalServer = ""
    verify_tls: bool = True
    ca_file: Text = ""
    trusted_hosts: tuple[OptionalServer, ...] = ()


class BoxSettings(_Section):
    """The household's own choices."""

    name: Text = "Allobox"
    country: Literal["FR", "DE", "UK", "US", "CH", "BE", "ES", "IT"] = "FR"
    language: Literal["fr", "en"] = "fr"
    timezone: Annotated[str, AfterValidator(_timezone)] = "Europe/Paris"


class GpioSettings(_Section):
    """Pins (BCM) and habits of an AG1170-class hat; see docs/hardware.md."""

    shk: int = Field(default=27, ge=0, le=53)
    rm: int = Field(default=17, ge=0, le=53)
    fr: int = Field(default=12, ge=0, le=53)
    pd: int | None = Field(default=None, ge=0, le=53)
    shk_active_high: bool = True
    fr_idle: Literal["high", "low"] = "high"
    pd_mode: Literal["none", "low", "high"] = "none"


def _card_by_name(name: str) -> str:
    if re.fullmatch(r"(plug)?hw:(CARD=)?\d.*", name):
        raise ValueError(
            "the card's number may change at any boot: name the card instead, as in plughw:CARD=wm8960soundcard "
            "(`aplay -L` lists the names)"
        )
    return name


CardName = Annotated[Text, AfterValidator(_card_by_name)]


class AlsaSettings(_Section):
    """The line's sound card, by ALSA name (never by index); "line" is what the image's asound.conf defines."""

    capture: CardName = "default"
    playback: CardName = "default"
    periods: int = Field(default=3, ge=2, le=16)


class LineSettings(_Section):
    """The analog lines."""

    driver: Literal["simulated", "gpio_slic"] = "simulated"
    count: int = Field(default=1, ge=1, le=1)  # several lines come with the voice path for them
    pulse: bool = True
    caller_id: bool = True
    echo_canceller: bool = True
    ring_limit_seconds: int = Field(default=120, ge=10, le=600)
    gpio: GpioSettings = GpioSettings()
    alsa: AlsaSettings = AlsaSettings()


class SipSettings(_Section):
    """The SIP stack; port 0 is any free port, which scanners do not find."""

    port: int = Field(default=0, ge=0, le=_MAX_PORT)
    rtp_port: int = Field(default=0, ge=0, le=_MAX_PORT)
    bind: Text = ""
    nameservers: tuple[Text, ...] = ()


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
    line: LineSettings = LineSettings()
    sip: SipSettings = SipSettings()
    page: PageSettings = PageSettings()
    mail: MailSettings = MailSettings()
    account: tuple[AccountSettings, ...] = ()

    def account_named(self, name: str) -> AccountSettings | None:
        """The account of that name, or None."""
        return next((account for account in self.account if account.name == name), None)


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
    return settings


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
        if part == "account":
            model = AccountSettings
        elif isinstance(part, str) and part in model.model_fields:
            inner = model.model_fields[part].annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
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


def with_setting(settings: Settings, key: str, text: str) -> Settings:
    """`settings` with one dotted key set from text. Raises ConfigError."""
    tree = to_tree(settings, secrets="clear")
    *path, last = key.split(".")
    known = flatten(tree)
    node: Any = tree
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            break
    optional = key == "line.gpio.pd"  # None, hence absent from the tree
    settable = isinstance(node, dict) and (last in node or optional) and not isinstance(node.get(last), dict)
    if not settable or key == "account":
        near = difflib.get_close_matches(key, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `allobox config show` lists them"
        raise ConfigError(f"{key}: no such setting{hint}", key)
    if key.startswith("page.credential"):
        raise ConfigError("page.credential: set the password on the page", key)
    if optional and not text.strip():
        node.pop(last, None)
    else:
        node[last] = _typed(text, node.get(last))
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
            return Loaded(Settings())
        except (ConfigError, OSError) as error:
            notice = str(error)
        try:
            return Loaded(read(self._previous), f"{notice} (the previous settings serve until it is mended)")
        except (ConfigError, OSError):
            return Loaded(Settings(), f"{notice} (the default settings serve until it is mended)")

    def save(self, settings: Settings) -> None:
        """Write atomically and durably, keeping what was there as `.previous`. Raises OSError."""
        text = tomlkit.dumps(to_tree(settings, secrets="clear"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            before = self._path.read_bytes()
            parse(tomllib.loads(before.decode()), self._path.name)
        except (OSError, ValueError):
            pass  # nothing, or nothing worth keeping
        else:
            write_atomically(self._previous, before)
        write_atomically(self._path, text.encode())


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
