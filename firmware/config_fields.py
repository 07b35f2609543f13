"""What single settings may hold, each refusal in words: hosts, addresses, names, ports, codecs.

Checks raise ValueError; `config` turns that into a sentence with the key. Pure but for the time
zones, which are asked of the system.
"""

from __future__ import annotations

import difflib
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, SecretStr

from firmware.rates import budget
from firmware.telephony.ringing import MAX_CALLERS, parse_rule

MAX_PORT = 65535
PRIVILEGED_PORTS = 1024
_MAX_RTP_PORT = 65000
_MAX_NAME = 40
_MAX_PIN = 53
OFF = "off"
_MOST_WARNINGS, _EARLIEST_WARNING = 4, 3600
_MAX_HASH = 512
_RECEIVER_WIRES = 5
# With a country's plan on top they stay within what `fxs.levels` takes.
_LEAST_GAIN_DB, _MOST_GAIN_DB, _GAIN_STEP_DB = -12, 9, 0.5
# What `fxs.echo` takes.
_LEAST_TAIL_MS, _MOST_TAIL_MS = 4, 256
_SAMPLE_RATES = (8000, 16_000)
_BAUDS = (9600, 19200, 38400, 57600, 115_200, 230_400, 460_800, 921_600)
# The caller's name goes into every INVITE: a From header in UDP must leave room for the rest.
_MAX_DISPLAY_BYTES = 64
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*\.?)(?::([0-9]{{1,5}}))?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text.partition("]")[0].removeprefix("["))
    except ValueError:
        return False
    return True


def _is_v4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _server(value: str) -> str:
    if _is_v6(value):
        raise ValueError(f"{value!r} is an IPv6 address: this version speaks SIP over IPv4 only; give a name or IPv4")
    found = _HOST.match(value)
    if not found:
        raise ValueError(f"{value!r} is not HOST or HOST:PORT (for example sip.example.org:5060)")
    if found[2] and not 1 <= int(found[2]) <= MAX_PORT:
        raise ValueError(f"port {found[2]} is not between 1 and 65535")
    if re.fullmatch(r"[0-9.]+", found[1]) and not _is_v4(found[1]):
        raise ValueError(f"{found[1]!r} is neither a name nor an IPv4 address")
    return value


def _optional_server(value: str) -> str:
    return _server(value) if value else value


def _address(value: str) -> str:
    if _is_v6(value):
        raise ValueError(f"{value!r} is an IPv6 address: this version speaks SIP over IPv4 only")
    if not _is_v4(value):
        raise ValueError(f"{value!r} is not an IPv4 address (for example 192.168.1.10)")
    return value


def _optional_address(value: str) -> str:
    return _address(value) if value else value


def _plain(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control and text-direction characters are not allowed")
    return value


def _name(value: str) -> str:
    if not 1 <= len(value) <= _MAX_NAME:
        raise ValueError(f"a name has 1 to {_MAX_NAME} characters, this one {len(value)}")
    if not re.fullmatch(r"[\w .-]+", value) or value != value.strip() or not value.strip("."):
        raise ValueError(f"{value!r} is no name: letters, digits, spaces inside, and . _ - are allowed")
    return value


def _display_name(value: str) -> str:
    size = len(value.encode())
    if size > _MAX_DISPLAY_BYTES:
        raise ValueError(f"{size} bytes (UTF-8) are too long for a display name: at most {_MAX_DISPLAY_BYTES}")
    return _plain(value)


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


def _rtp_port(value: int) -> int:
    if value and (not PRIVILEGED_PORTS <= value <= _MAX_RTP_PORT or value % 2):
        raise ValueError(
            f"{value} is neither 0 (any free port) nor an even port between {PRIVILEGED_PORTS} and {_MAX_RTP_PORT}"
        )
    return value


def _codecs(value: tuple[Codec, ...]) -> tuple[Codec, ...]:
    if not value:
        raise ValueError("at least one of PCMA, PCMU, G722, iLBC, opus is needed")
    if len(set(value)) != len(value):
        raise ValueError(f"{', '.join(value)}: each codec may be named once")
    return value


def _card_by_name(name: str) -> str:
    if re.fullmatch(r"(plug)?hw:(CARD=)?\d.*", name):
        raise ValueError(
            "the card's number may change at any boot: name the card instead, as in plughw:CARD=wm8960soundcard "
            "(`aplay -L` lists the names)"
        )
    return name


def _caller_rings(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MAX_CALLERS:
        raise ValueError(f"{len(value)} callers with a ring of their own are too many: at most {MAX_CALLERS}")
    rules = [parse_rule(text) for text in value]
    whom = [(rule.who, rule.prefix) for rule in rules]
    twice = next((rule for rule in rules if whom.count((rule.who, rule.prefix)) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice.who}{'*' if twice.prefix else ''} is named twice; one caller has one ring")
    return value


def _announce_above(value: str) -> str:
    """A price, with a decimal comma or point, or `off`; empty is off."""
    text = value.strip().lower().replace(",", ".")
    if text in {"", "off", "non"}:
        return OFF
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text):
        raise ValueError(
            f"{value[:40]!r} is no price a minute: write 0.15 (or 0,15) to hear of what costs more, 0 to hear of "
            f"everything that costs something, or {OFF}"
        )
    return text


def _warn_seconds(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) > _MOST_WARNINGS or any(not 1 <= seconds <= _EARLIEST_WARNING for seconds in value):
        raise ValueError(f"at most {_MOST_WARNINGS} warnings, 1 to {_EARLIEST_WARNING} seconds before a call is cut")
    return tuple(sorted(set(value), reverse=True))


def _caps(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(cap) for cap in budget.parse_caps(value))


def _allowed_numbers(value: tuple[str, ...]) -> tuple[str, ...]:
    return budget.parse_numbers(value).patterns


def _classes(value: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((name for name in value if name not in budget.CLASSES), None)
    if wrong is not None:
        near = difflib.get_close_matches(wrong, budget.CLASSES, 1)
        hint = f"did you mean {near[0]!r}? There are" if near else "there are"
        raise ValueError(
            f"{wrong[:40]!r} is no class of numbers that can be allowed; {hint} {', '.join(budget.CLASSES)}"
        )
    return tuple(name for name in budget.CLASSES if name in value)


def _pin_hash(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and (not text.startswith("$argon2id$") or len(text) > _MAX_HASH):
        raise ValueError("no argon2id hash: set a PIN with `allobox budget pin set LABEL`, or on the page")
    return value


def _periods(value: int) -> int:
    if value == 1:
        raise ValueError("1 period leaves no time to make the next frame: 0 (as few as hold), or 2 to 16")
    return value


def _gain_db(value: float) -> float:
    if not _LEAST_GAIN_DB <= value <= _MOST_GAIN_DB or value % _GAIN_STEP_DB:
        raise ValueError(f"{value} dB: wanted {_LEAST_GAIN_DB} to {_MOST_GAIN_DB} in steps of {_GAIN_STEP_DB}")
    return value


def _echo_tail(value: int) -> int:
    if not _LEAST_TAIL_MS <= value <= _MOST_TAIL_MS:
        raise ValueError(
            f"{value} ms: wanted {_LEAST_TAIL_MS} to {_MOST_TAIL_MS}; 32 for a telephone on a cord, 64 to 128 for a "
            "hands-free one"
        )
    return value


def _serial_device(value: str) -> str:
    if value and not re.fullmatch(r"/dev/(?!.*\.\.)[\w./:+-]*[\w+-]", value):
        raise ValueError(
            f"{value!r} is no serial device: name it as in /dev/serial/by-id/usb-..., or leave it empty for the "
            "only one that is plugged in"
        )
    return value


def _sample_rate(value: int) -> int:
    if value not in _SAMPLE_RATES:
        raise ValueError(f"{value} is no rate of a line: 8000, or 16000 where the hat's codec can")
    return value


def _serial_baud(value: int) -> int:
    if value not in _BAUDS:
        raise ValueError(f"{value} is no speed of a serial line: {', '.join(map(str, _BAUDS))}")
    return value


def changes_its_name(device: str) -> bool:
    """Whether a device's name is given in the order of plugging in."""
    return re.fullmatch(r"/dev/tty(USB|ACM)\d+", device) is not None


def _receiver_pins(pins: tuple[int, ...]) -> tuple[int, ...]:
    if len(pins) not in {0, _RECEIVER_WIRES}:
        raise ValueError(f"{len(pins)} pins: an MT8870 has five wires, StD,Q1,Q2,Q3,Q4 (empty: none is there)")
    wrong = next((pin for pin in pins if not 0 <= pin <= _MAX_PIN), None)
    if wrong is not None:
        raise ValueError(f"GPIO{wrong}: pins are 0 to {_MAX_PIN} (BCM)")
    return pins


Codec = Literal["PCMA", "PCMU", "G722", "iLBC", "opus"]
Codecs = Annotated[tuple[Codec, ...], AfterValidator(_codecs)]
Ring = Literal["normal", "dr1", "dr2", "dr3", "dr4", "dr5", "dr6", "dr7", "dr8"]
AccountRing = Literal["", Ring]
Name = Annotated[str, AfterValidator(_name)]
DisplayName = Annotated[str, AfterValidator(_display_name)]
Text = Annotated[str, Field(max_length=128), AfterValidator(_plain)]
AnnounceAbove = Annotated[Text, AfterValidator(_announce_above)]
WarnSeconds = Annotated[tuple[int, ...], AfterValidator(_warn_seconds)]
Caps = Annotated[tuple[Text, ...], AfterValidator(_caps)]
AllowedNumbers = Annotated[tuple[Text, ...], AfterValidator(_allowed_numbers)]
Classes = Annotated[tuple[Text, ...], AfterValidator(_classes)]
PinLabel = Annotated[str, AfterValidator(_name)]
PinHash = Annotated[SecretStr, AfterValidator(_pin_hash)]
CallerRings = Annotated[tuple[Text, ...], AfterValidator(_caller_rings)]
Server = Annotated[str, Field(max_length=255), AfterValidator(_server)]
OptionalServer = Annotated[str, Field(max_length=255), AfterValidator(_optional_server)]
Address = Annotated[str, Field(max_length=64), AfterValidator(_address)]
OptionalAddress = Annotated[str, Field(max_length=64), AfterValidator(_optional_address)]
SipUser = Annotated[str, Field(max_length=128), AfterValidator(_sip_token)]
PhoneNumber = Annotated[str, AfterValidator(_number)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]
RtpPort = Annotated[int, AfterValidator(_rtp_port)]
CardName = Annotated[Text, AfterValidator(_card_by_name)]
AlsaPeriods = Annotated[int, Field(ge=0, le=16), AfterValidator(_periods)]
GainDb = Annotated[float, AfterValidator(_gain_db)]
EchoTail = Annotated[int, AfterValidator(_echo_tail)]
SampleRate = Annotated[int, AfterValidator(_sample_rate)]
SerialBaud = Annotated[int, AfterValidator(_serial_baud)]
SerialDevice = Annotated[Text, AfterValidator(_serial_device)]
ReceiverPins = Annotated[tuple[int, ...], AfterValidator(_receiver_pins)]
