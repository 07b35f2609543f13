"""When the streams of calls are looked at, in virtual time."""

from __future__ import annotations

from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.measuring import Measures


class Wire:
    """One call's stream: fifty packets a second from 0 on, until it is `gone`."""

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.now = 0.0
        self.looks = 0
        self.gone = self.broken = False
        self.measures = Measures(self.agenda, lambda: self.now)

    def reading(self) -> StreamReading | None:
        self.looks += 1
        if self.broken:
            raise RuntimeError("this build knows no counters")
        count = round(50 * self.now)
        return None if self.gone else StreamReading(codec="PCMA/8000", packet_ms=20.0, sent=count, received=count)

    def until(self, end: float) -> None:
        while self.now < end:
            self.now += 0.5
            for action in self.agenda.due(self.now):
                action()


def test_a_call_is_looked_at_every_five_seconds_and_at_its_end() -> None:
    wire = Wire()
    wire.measures.begin(1, wire.reading)
    wire.until(22)
    assert wire.looks == 4
    found = wire.measures.end(1)
    assert found is not None
    assert (found.total.received, len(found.points)) == (1100, 5)
    wire.until(60)
    assert wire.looks == 5
    assert wire.measures.end(1) is None


def test_a_stream_that_is_gone_before_the_end_was_sealed_with_its_last_reading() -> None:
    wire = Wire()
    wire.measures.begin(1, wire.reading)
    wire.until(7)
    wire.measures.sealed(1, wire.reading())
    wire.gone = True
    found = wire.measures.end(1)
    assert found is not None
    assert found.total.received == 350


def test_counters_that_cannot_be_read_cost_no_call_its_end() -> None:
    wire = Wire()
    wire.broken = True
    wire.measures.begin(1, wire.reading)
    wire.until(11)
    assert wire.looks == 2
    assert wire.measures.end(1) is None


def test_a_stream_of_a_call_that_was_not_answered_is_nobodys() -> None:
    wire = Wire()
    wire.measures.sealed(1, wire.reading())
    assert wire.measures.end(1) is None
