"""Who waits, as samples: what asks a telephone whether it can show a second caller, and what it is then sent.

When they are played is `waiting`'s business.
"""

from __future__ import annotations

from datetime import datetime

from firmware.fxs import callerid
from firmware.fxs.country import Country
from firmware.fxs.pcm import SAMPLE_RATE_HZ

# GR-30: the CAS follows the tone within 50 ms; the message begins 50 to 500 ms after the answer's end. The box hears
# the answer some 30 ms after its onset, hence about 35 ms before its end.
_BEFORE_CAS_MS = 20
_BEFORE_MESSAGE_MS = 140


def samples(
    country: Country, number: str | None, name: str | None, when: datetime, absence: str | None
) -> tuple[bytes, bytes] | None:
    """Tone and CAS; FSK message. 8 kHz, 16 bit; `when` in the telephone's local time. None where the country's
    caller ID cannot be sent off-hook. Raises ValueError for a number that cannot be shown.
    """
    message = callerid.off_hook_message(country, number, name, when, absence)
    if message is None:
        return None
    alert = callerid.sas(country) + _silence(_BEFORE_CAS_MS) + callerid.cas(country)
    return alert, _silence(_BEFORE_MESSAGE_MS) + message


def period_seconds(country: Country) -> float:
    """How long the call-waiting tone takes from one beginning to the next."""
    spec = country.tones["call-waiting"]
    return sum(segment.ms or 0 for segment in (*spec.once_segments(), *spec.loop_segments())) / 1000


def _silence(ms: int) -> bytes:
    return bytes(2 * (SAMPLE_RATE_HZ * ms // 1000))
