"""The lamp and the clock of a telephone that lies on its hook: message waiting by FSK, without a ring.

The message is `callerid_message.waiting_message`; what goes before it (ETSI EN 300 659-1: DT-AS, a polarity
reversal, a ring pulse; GR-30: nothing) is the country's, and its timing `ringer.Ringer.announce`'s.
"""

from __future__ import annotations

from datetime import datetime

from firmware.fxs import callerid_message
from firmware.fxs.callerid import alerting, modulate
from firmware.fxs.country import Country


def transmission(country: Country, count: int | None, when: datetime | None, number: str | None = None) -> bytes | None:
    """All that is heard: the alerting signal, if the country has one here, then the message. Samples, 8 kHz 16 bit.

    `count` messages wait (None: nobody knows how many), 0 puts the lamp out; either sets the display's clock to
    `when` (the telephone's local time), if the country's telephones take a date here. `number`: the mailbox's.
    None where no telephone has such a lamp (digit sequences know none). Raises ValueError for a count or number
    that cannot be sent.
    """
    spec = country.caller_id
    if spec.standard == "dtmf":
        return None
    raw = callerid_message.waiting_message(count, when, number, form=spec.format, plain=spec.waiting_plain)
    return alerting(spec, spec.waiting_alert) + modulate(spec, raw)
