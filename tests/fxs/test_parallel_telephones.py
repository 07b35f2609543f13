"""Two telephones on one line: their contacts in parallel are one loop, closed while either is."""

from __future__ import annotations

from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookDown, HookEvent, HookFlash, HookSettings, HookUp, PulseDigit


class House:
    """Contacts A and B on one decoder; time passes with `wait`."""

    def __init__(self) -> None:
        self.hook = HookDecoder(HookSettings.for_country(country.load("FR")))
        self.closed = {"A": False, "B": False}
        self.now = 10.0
        self.told: list[HookEvent] = []

    def set(self, telephone: str, *, closed: bool) -> None:
        before = any(self.closed.values())
        self.closed[telephone] = closed
        if any(self.closed.values()) is not before:
            self.told += self.hook.handle(not before, self.now)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.hook.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.told += self.hook.tick(self.now)
        self.now = end

    def lift(self, telephone: str) -> None:
        self.set(telephone, closed=True)
        self.wait(0.3)

    def hang_up(self, telephone: str) -> None:
        self.set(telephone, closed=False)
        self.wait(1.5)

    def turn(self, telephone: str, pulses: int) -> None:
        for _ in range(pulses):
            self.set(telephone, closed=False)
            self.wait(0.066)
            self.set(telephone, closed=True)
            self.wait(0.033)
        self.wait(0.8)

    def flash(self, telephone: str) -> None:
        self.set(telephone, closed=False)
        self.wait(0.27)
        self.set(telephone, closed=True)
        self.wait(0.5)

    def heard(self) -> list[type]:
        heard, self.told = [type(event) for event in self.told], []
        return heard


def test_the_line_is_lifted_with_the_first_and_hung_up_with_the_last() -> None:
    house = House()
    house.lift("A")
    assert house.heard() == [HookUp]
    house.lift("B")
    house.hang_up("A")
    house.lift("A")
    house.hang_up("B")
    assert house.heard() == []
    house.hang_up("A")
    assert house.heard() == [HookDown]


def test_a_call_handed_from_one_to_the_other_is_never_let_go() -> None:
    house = House()
    house.lift("A")
    house.heard()
    for giver, taker in (("A", "B"), ("B", "A")):
        house.lift(taker)
        house.hang_up(giver)
    assert house.heard() == []


def test_a_dial_turns_and_r_works_while_the_other_lies_on_its_hook_and_neither_while_it_is_lifted() -> None:
    house = House()
    house.lift("A")
    house.heard()
    house.turn("A", 3)
    assert house.told == [PulseDigit("3", house.told[0].at)]
    house.heard()
    house.flash("A")
    assert house.heard() == [HookFlash]
    house.lift("B")
    house.turn("A", 3)
    house.flash("A")
    assert house.heard() == []


def test_an_instant_in_which_both_are_open_is_no_pulse() -> None:
    house = House()
    house.lift("A")
    house.lift("B")
    house.heard()
    house.set("A", closed=False)
    house.wait(0.030)
    house.set("B", closed=False)  # both open, shorter than any contact's bounce
    house.set("A", closed=True)
    house.wait(0.036)
    house.set("B", closed=True)
    house.wait(1.0)
    assert house.heard() == []
