"""No sequence of events leaves a handset dead: hypothesis plays the household, the far end and the clock."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.events import Outlook, Timer, Tone, Treatment, Words
from firmware.telephony.line import LineMachine
from firmware.telephony.line_states import LineState

TREATMENTS = [Treatment(Tone.BUSY), Treatment(Tone.CONGESTION, Words.UNASSIGNED), Treatment(Tone.SIT)]


class Household(RuleBasedStateMachine):
    """Carries the commands out on a model of the telephone, and looks for contradictions."""

    @initialize(outlook=st.sampled_from(Outlook))
    def start(self, outlook: Outlook) -> None:
        self.line = LineMachine(services.analyse)
        self.outlook = outlook
        self.lifted = False
        self.ringing = False
        self.listening = False
        self.joined: int | None = None
        self.timers: set[Timer] = set()
        self.hears: Tone | Words | None = None
        self.calls: set[int] = set()  # alive on the box's side
        self.offers: set[int] = set()  # come in and neither taken nor refused
        self.ended: set[int] = set()
        self.next_offer = 1000
        self.give(ev.OutlookChanged(outlook))

    def give(self, event: ev.LineEvent) -> list[ev.LineCommand]:
        commands = self.line.handle(event, 0.0)
        for command in commands:
            self.carry_out(command)
        return commands

    def carry_out(self, command: ev.LineCommand) -> None:
        match command:
            case ev.PlayTone(tone):
                self.hears = tone
            case ev.Speak(words):
                self.hears = words
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
            case ev.PlaceCall(call):
                assert call not in self.calls | self.ended
                self.calls.add(call)
            case ev.AnswerCall(call):
                self.offers.remove(call)
                self.calls.add(call)
            case ev.RefuseCall(call):
                self.offers.remove(call)
                self.ended.add(call)
            case ev.HangUp(call):
                self.calls.remove(call)
                self.ended.add(call)
            case ev.ConnectVoice(call):
                assert self.joined is None
                self.joined = call
            case ev.DisconnectVoice(call):
                assert self.joined == call
                self.joined = None
            case ev.SendDigit(call):
                assert call == self.joined
            case ev.StartTimer(timer, seconds):
                assert seconds > 0
                self.timers.add(timer)
            case ev.StopTimer(timer):
                self.timers.remove(timer)
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
        before = set(self.calls)
        self.give(ev.Flash())
        assert self.calls == before

    @precondition(lambda self: self.lifted)
    @rule(digits=st.sampled_from(["0", "1", "5", "#", "*", "A", "15", "0142685300", "3699", "00493012345678", "*00#"]))
    def dial(self, digits: str) -> None:
        for digit in digits:
            self.give(ev.DigitDialled(digit))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        timer = data.draw(st.sampled_from(sorted(self.timers, key=lambda timer: timer.value)))
        self.timers.remove(timer)
        self.give(ev.TimerFired(timer))

    @rule()
    def a_sentence_ends(self) -> None:
        self.give(ev.SpeechEnded())

    @rule(outlook=st.sampled_from(Outlook))
    def the_network_changes(self, outlook: Outlook) -> None:
        self.outlook = outlook
        self.give(ev.OutlookChanged(outlook))

    @rule()
    def somebody_calls(self) -> None:
        self.next_offer += 1
        self.offers.add(self.next_offer)
        self.give(ev.Offered(self.next_offer, ev.Caller("0612345678")))

    @precondition(lambda self: self.calls | self.offers)
    @rule(data=st.data(), what=st.sampled_from(["ring", "media", "reroute", "answer"]))
    def the_far_end_goes_on(self, data: st.DataObject, what: str) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls | self.offers)))
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
            assert self.line.state in {LineState.IDLE, LineState.RINGING}
        assert self.ringing == (self.line.state is LineState.RINGING)

    @invariant()
    def no_call_is_forgotten(self) -> None:
        assert self.calls == ({self.line.call} if self.line.call is not None and not self.ringing else set())
        assert self.offers == ({self.line.call} if self.ringing else set())
        assert self.joined is None or self.joined in self.calls

    @invariant()
    def at_most_one_timer_runs_and_never_on_hook(self) -> None:
        assert len(self.timers) <= 1
        if self.line.state is LineState.IDLE:
            assert not self.timers

    @invariant()
    def a_lifted_handset_is_not_left_in_silence(self) -> None:
        """Silence only while something is on its way: digits, a call, a service, or after the howler."""
        waited_for = {LineState.DIALLING, LineState.CALLING, LineState.SERVICE, LineState.EARLY, LineState.TALKING}
        if self.lifted and self.line.state not in waited_for | {LineState.PARKED}:
            assert self.hears is not None

    @invariant()
    def hanging_up_and_lifting_gives_a_dial_tone(self) -> None:
        """Asked of a twin, so that the play goes on from where it was."""
        if self.line.state is LineState.RINGING:
            return
        twin = LineMachine(services.analyse)
        for name, value in vars(self.line).items():
            setattr(twin, name, value)
        twin.handle(ev.OnHook(), 0.0)
        wanted = Tone.DIAL if self.outlook is Outlook.READY else Tone.SPECIAL_DIAL
        assert ev.PlayTone(wanted) in twin.handle(ev.OffHook(), 0.0)


TestHousehold = Household.TestCase
TestHousehold.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
