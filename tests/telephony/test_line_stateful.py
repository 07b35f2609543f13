"""No sequence of events leaves a handset dead: hypothesis plays the household, the far end and the clock."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.events import Outlook, Timer, Tone, Treatment, Words
from firmware.telephony.line import LineMachine, LineSettings
from firmware.telephony.line_states import POSTURES, LineState

PRICE = ev.Announce(Decimal("0.34"), "minute", "EUR", Decimal("0.18"), Decimal("4.20"))
HELP = ["15", "17", "18", "112", "114", "115", "119", "196", "116000"]
BEFORE = {LineState.ANNOUNCING, LineState.KEYING, LineState.PIN, LineState.CHECKING}
TREATMENTS = [Treatment(Tone.BUSY), Treatment(Tone.CONGESTION, Words.UNASSIGNED), Treatment(Tone.SIT)]


class Household(RuleBasedStateMachine):
    """Carries the commands out on a model of the telephone, and looks for contradictions."""

    @initialize(
        outlook=st.sampled_from(Outlook),
        guard=st.sampled_from([0.0, 30.0]),
        reversal=st.booleans(),
        wait=st.integers(0, 4),
    )
    def start(self, outlook: Outlook, guard: float, reversal: bool, wait: int) -> None:  # noqa: FBT001
        times = LineSettings(hang_up_guard=guard, polarity_reversal=reversal)
        self.call_waiting = wait > 0
        self.line = LineMachine(services.analyse, times, call_waiting=self.call_waiting)
        self.reversed = False
        self.signalled = False
        self.held: set[int] = set()
        self.emergencies: set[int] = set()
        self.outlook = outlook
        self.lifted = False
        self.ringing = False
        self.listening = False
        self.joined: int | None = None
        self.timers: set[Timer] = set()
        self.hears: Tone | Words | ev.Announce | None = None
        self.calls: set[int] = set()  # alive on the box's side
        self.offers: set[int] = set()  # come in and neither taken nor refused
        self.ended: set[int] = set()
        self.next_offer = 1000
        self.now = 0.0
        self.waits_for: dict[int, str] = {}  # calls that have not left: for "price", "pin" or "check"
        self.give(ev.OutlookChanged(outlook))

    def give(self, event: ev.LineEvent) -> list[ev.LineCommand]:
        commands = self.line.handle(event, self.now)
        for command in commands:
            self.carry_out(command)
        return commands

    def carry_out(self, command: ev.LineCommand) -> None:
        match command:
            case ev.PlayTone(tone):
                self.hears = tone
            case ev.Speak(words):
                self.hears = words
            case ev.SpeakPrice(announce):
                self.hears = announce
            case ev.Warn():
                assert self.joined is not None
            case ev.PlayNothing():
                self.hears = None
            case ev.ListenForDigits(on):
                assert on is not self.listening
                self.listening = on
            case ev.StartRinging():
                assert not self.ringing
                self.ringing = True
            case ev.StopRinging():
                assert self.ringing
                self.ringing = False
            case ev.SetPolarity(reverse):
                assert reverse is not self.reversed
                self.reversed = reverse
            case ev.StartTimer(timer, seconds):
                assert seconds > 0
                self.timers.add(timer)
            case ev.StopTimer(timer):
                self.timers.remove(timer)
            case _:
                self.carry_out_of_a_call(command)

    def carry_out_of_a_call(self, command: ev.LineCommand) -> None:
        match command:
            case ev.PlaceCall(call, digits):
                assert call not in self.calls | self.ended
                assert not self.calls
                self.calls.add(call)
                if digits == "15":
                    self.emergencies.add(call)
            case ev.AnswerCall(call):
                self.offers.remove(call)
                self.calls.add(call)
            case ev.RefuseCall(call):
                self.offers.remove(call)
                self.ended.add(call)
            case ev.Proceed(call):
                assert self.waits_for.pop(call) == "price"
            case ev.EnterPin(call, pin):
                assert 0 < len(pin) <= 16
                assert self.waits_for[call] == "pin"
                self.waits_for[call] = "check"
            case ev.HangUp(call):
                self.calls.remove(call)
                self.waits_for.pop(call, None)
                self.held.discard(call)
                self.ended.add(call)
            case ev.SignalWaiting():
                assert not self.signalled
                assert self.call_waiting
                assert not self.emergencies & self.calls
                self.signalled = True
            case ev.StopWaiting():
                assert self.signalled
                self.signalled = False
            case ev.HoldCall(call):
                assert call in self.calls - self.held
                assert call != self.joined
                self.held.add(call)
            case ev.ResumeCall(call):
                assert call == self.joined
                self.held.remove(call)
            case ev.ConnectVoice(call):
                assert self.joined is None
                self.joined = call
            case ev.DisconnectVoice(call):
                assert self.joined == call
                self.joined = None
            case ev.SendDigit(call):
                assert call == self.joined
            case ev.UseService():
                pass

    @precondition(lambda self: not self.lifted)
    @rule()
    def lift(self) -> None:
        self.lifted = True
        self.give(ev.OffHook())

    @precondition(lambda self: self.lifted)
    @rule()
    def hang_up(self) -> None:
        self.lifted = False
        self.give(ev.OnHook())

    @rule(again=st.booleans())
    def bouncing_hook_repeats_itself(self, again: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        if again and self.lifted:
            assert self.give(ev.OffHook()) == []
        elif not self.lifted and not self.ringing:
            assert self.give(ev.OnHook()) == []

    @precondition(lambda self: self.lifted)
    @rule()
    def flash(self) -> None:
        calls, offers, ended = set(self.calls), set(self.offers), set(self.ended)
        not_left = self.line.state in BEFORE
        self.give(ev.Flash())
        if not_left:
            assert not self.calls
            assert self.line.state in {LineState.DIAL_TONE, LineState.SPECIAL_TONE}
            return
        assert self.ended == ended, "a flash ends nothing"
        assert calls <= self.calls <= calls | offers

    @precondition(lambda self: self.lifted)
    @rule(digits=st.sampled_from(["0", "1", "5", "#", "*", "A", "15", "0142685300", "3699", "00493012345678", "*00#"]))
    def dial(self, digits: str) -> None:
        for digit in digits:
            self.give(ev.DigitDialled(digit))

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 5.0]))
    def a_while_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.lifted)
    @rule()
    def a_digit_is_unclear(self) -> None:
        self.give(ev.DigitUnclear())

    @precondition(lambda self: self.line.state is LineState.CALLING and self.line.call in self.calls)
    @rule(what=st.sampled_from(["price", "pin"]))
    def the_call_waits_for_the_handset(self, what: str) -> None:
        """Only a call that has not left, or whose route failed before it rang, and never one for help."""
        call = self.line.call
        assert call is not None
        if call not in self.emergencies:
            self.ask(call, what)

    @precondition(lambda self: self.line.state is LineState.IDLE)
    @rule(
        what=st.sampled_from(["price", "pin", "check"]),
        keyed=st.sampled_from(["", "", "", "1", "15", "4", "15?"]),
        number=st.sampled_from(["", "", *HELP]),
    )
    def a_call_is_placed_that_waits_for_the_handset(self, what: str, keyed: str, number: str) -> None:
        """In one step, so that there are many."""
        self.lift()
        for digit in "0142685300":
            self.give(ev.DigitDialled(digit))
        call = self.line.call
        assert call is not None
        self.ask(call, "price" if what == "price" else "pin")
        for digit in keyed if what != "check" else "4711#":
            self.give(ev.DigitUnclear() if digit == "?" else ev.DigitDialled(digit))
        assert self.line.call == call, "too many digits of a number, or a PIN, called for help"
        if number:
            self.help_is_dialled(number)

    def ask(self, call: int, what: str) -> None:
        self.waits_for[call] = what
        self.give(ev.Priced(call, PRICE) if what == "price" else ev.PinWanted(call))
        assert self.line.state is (LineState.ANNOUNCING if what == "price" else LineState.PIN)

    @precondition(lambda self: self.line.call is not None and self.waits_for.get(self.line.call) == "check")
    @rule(answer=st.sampled_from(["wrong", "price", "goes"]))
    def the_pin_is_checked(self, answer: str) -> None:
        call = self.line.call
        assert call is not None
        if answer == "wrong":
            self.waits_for[call] = "pin"
            self.give(ev.PinWanted(call, again=True))
            assert self.hears is Words.PIN_WRONG
        elif answer == "price":
            self.ask(call, "price")
        else:
            del self.waits_for[call]

    @precondition(lambda self: self.lifted and self.line.state in BEFORE)
    @rule(number=st.sampled_from(HELP))
    def help_is_dialled_before_the_call_has_left(self, number: str) -> None:
        self.help_is_dialled(number)

    def help_is_dialled(self, number: str) -> None:
        """Whatever was keyed before, after a breath: it is called, and nothing else is."""
        self.now += 5.0
        before = set(self.calls)
        for digit in number:
            self.now += 0.3
            self.give(ev.DigitDialled(digit))
        if self.line.state in {LineState.PIN, LineState.KEYING}:
            (timer,) = self.timers
            self.timers.clear()
            self.give(ev.TimerFired(timer))
        assert self.line.state is LineState.CALLING
        assert self.calls == {self.line.call}
        assert not self.calls & before
        assert self.line.digits == number
        self.emergencies |= self.calls

    @precondition(lambda self: self.line.state in {LineState.TALKING, LineState.CALL_WAITING, LineState.CALL_HELD})
    @rule(data=st.data())
    def a_cut_is_near(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls)))
        assert self.give(ev.Warned(call, 10.0)) == [ev.Warn(10.0)]

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        timer = data.draw(st.sampled_from(sorted(self.timers, key=lambda timer: timer.value)))
        self.timers.remove(timer)
        self.give(ev.TimerFired(timer))

    @rule()
    def a_sentence_ends(self) -> None:
        was = self.line.state
        self.give(ev.SpeechEnded())
        assert (was is LineState.ANNOUNCING) <= (self.line.state is LineState.CALLING)

    @rule(outlook=st.sampled_from(Outlook))
    def the_network_changes(self, outlook: Outlook) -> None:
        self.outlook = outlook
        self.give(ev.OutlookChanged(outlook))

    @rule()
    def somebody_calls(self) -> None:
        self.next_offer += 1
        self.offers.add(self.next_offer)
        self.give(ev.Offered(self.next_offer, ev.Caller("0612345678")))

    @precondition(lambda self: self.line.state is LineState.IDLE)
    @rule(how=st.sampled_from(["called", "0142685300", "15"]), second=st.booleans())
    def a_conversation_begins(self, how: str, second: bool) -> None:  # noqa: FBT001
        """In one step, so that there are many, and with a second caller in every other."""
        if how == "called":
            self.somebody_calls()
        self.lift()
        for digit in how.removeprefix("called"):
            self.give(ev.DigitDialled(digit))
        assert self.line.call in self.calls
        self.give(ev.Answered(self.line.call))
        assert self.joined == self.line.call
        if second:
            self.somebody_calls()

    @precondition(lambda self: (self.calls | self.offers) - set(self.waits_for))
    @rule(data=st.data(), what=st.sampled_from(["ring", "media", "reroute", "answer"]))
    def the_far_end_goes_on(self, data: st.DataObject, what: str) -> None:
        call = data.draw(st.sampled_from(sorted((self.calls | self.offers) - set(self.waits_for))))
        events: dict[str, ev.LineEvent] = {
            "ring": ev.Alerting(call),
            "media": ev.EarlyMedia(call),
            "reroute": ev.Rerouted(call),
            "answer": ev.Answered(call),
        }
        self.give(events[what])

    @precondition(lambda self: self.calls | self.offers)
    @rule(data=st.data(), how=st.sampled_from([ev.Released, ev.Withdrawn, ev.Failed]))
    def the_far_end_ends(self, data: st.DataObject, how: type) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls | self.offers)))
        if call in self.offers:
            how = ev.Withdrawn  # the only way that a call not yet taken can end
        self.calls.discard(call)
        self.offers.discard(call)
        self.held.discard(call)
        self.waits_for.pop(call, None)
        self.ended.add(call)
        if how is ev.Failed:
            self.give(ev.Failed(call, data.draw(st.sampled_from(TREATMENTS))))
        else:
            self.give(how(call))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), how=st.sampled_from([ev.Released, ev.Answered, ev.Withdrawn, ev.Alerting, ev.EarlyMedia]))
    def something_comes_late_of_a_call_that_is_over(self, data: st.DataObject, how: type) -> None:
        assert self.give(how(data.draw(st.sampled_from(sorted(self.ended))))) == []

    @invariant()
    def the_bell_and_the_handset_agree(self) -> None:
        if self.lifted:
            assert not self.ringing
        else:
            assert self.joined is None
            assert not self.listening
            assert not self.signalled
            assert self.line.state in {LineState.IDLE, LineState.RINGING, LineState.RECALL, LineState.SUSPENDED}
        assert self.ringing == (self.line.state in {LineState.RINGING, LineState.RECALL})
        if self.line.state is LineState.IDLE:
            assert not self.reversed

    @invariant()
    def no_call_is_forgotten(self) -> None:
        assert self.calls | self.offers == {call for call in (self.line.call, self.line.other) if call is not None}
        assert self.joined is None or self.joined in self.calls - self.held
        assert not self.calls & self.offers

    @invariant()
    def who_is_neither_spoken_with_nor_waits_is_held(self) -> None:
        if self.line.state in {LineState.CALL_HELD, LineState.HELD_ALONE, LineState.RECALL}:
            assert self.held == self.calls - {self.joined}
            assert len(self.held) == 1
        else:
            assert not self.held
        if self.line.state in {LineState.CALL_WAITING, LineState.WAITING_ALONE, LineState.RINGING}:
            assert len(self.offers) == 1
        else:
            assert not self.offers
        assert self.signalled == (self.line.state is LineState.CALL_WAITING)

    @invariant()
    def at_most_one_timer_runs_and_never_on_hook(self) -> None:
        assert len(self.timers) <= 1
        if self.line.state is LineState.IDLE:
            assert not self.timers

    @invariant()
    def a_lifted_handset_is_not_left_in_silence(self) -> None:
        """Silence only while something is on its way: digits, a call, a service, or after the howler."""
        waited_for = {LineState.DIALLING, LineState.CALLING, LineState.SERVICE}
        waited_for |= {LineState.KEYING, LineState.PIN, LineState.CHECKING}
        if self.joined is None and self.lifted and self.line.state not in waited_for | {LineState.PARKED}:
            assert self.hears is not None

    @invariant()
    def hanging_up_ends_every_call_and_lifting_then_gives_a_dial_tone(self) -> None:
        """Asked of a twin, so that the play goes on from where it was."""
        assert self.line.state not in BEFORE or self.line.call in self.calls
        twin = LineMachine(services.analyse)
        for name, value in vars(self.line).items():
            setattr(twin, name, value)
        commands = twin.handle(ev.OnHook(), 0.0)
        timer = POSTURES[twin.state].timer
        if timer is not None:  # it rings for who is left, or is guarded; nobody lifts
            commands += twin.handle(ev.TimerFired(timer), 0.0)
        over = {command.call for command in commands if isinstance(command, ev.HangUp | ev.RefuseCall)}
        assert over == self.calls | self.offers
        wanted = Tone.DIAL if self.outlook is Outlook.READY else Tone.SPECIAL_DIAL
        assert ev.PlayTone(wanted) in twin.handle(ev.OffHook(), 0.0)


TestHousehold = Household.TestCase
TestHousehold.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
