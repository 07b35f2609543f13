"""The accounts' desk against a stack that only remembers: when it registers, what it says, whom it knows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from firmware.telephony.agent import AgentEvent, RegistrationChanged, SipAccount
from firmware.telephony.sip import reasons
from firmware.telephony.sip.accounts import AccountDesk
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.hooks import Registration, StackError
from firmware.telephony.sip.message import parse_message

HOME = SipAccount("home", "192.0.2.1:5060", "bob", "secret", number="+33142685300")
CHALLENGE = parse_message('SIP/2.0 401 No\r\nWWW-Authenticate: Digest realm="r.example", nonce="n"\r\n\r\n')


class NotingStack:
    """What of the stack the desk uses."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.realms: dict[str, str] = {}
        self.broken: StackError | None = None

    def put_account(self, account: SipAccount, realm: str, *, moved: bool) -> None:
        self.realms[account.name] = realm
        self.done.append(f"{'move' if moved else 'put'} {account.name}")

    def remove_account(self, name: str) -> None:
        self.done.append(f"remove {name}")

    def register(self, name: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.done.append(f"register {name}")

    def unregister(self, name: str) -> None:
        self.done.append(f"unregister {name}")


class Desk:
    """An AccountDesk in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stack = NotingStack()
        self.agenda = Agenda()
        self.events: list[AgentEvent] = []
        self.busy: set[str] = set()
        self.asked: list[Sequence[str]] = []
        self.desk = AccountDesk(
            stack=self.stack,
            agenda=self.agenda,
            now=lambda: self.now,
            deliver=self.events.append,
            busy=lambda name: name in self.busy,
            ask=self.asked.append,
            changed=lambda: None,
            most=8,
        )

    def answer(self, code: int, *, local: bool = False, status: int = 0, phrase: str = "", active: bool = True) -> None:
        message = None if local else CHALLENGE if code == 401 else parse_message(f"SIP/2.0 {code} x\r\n\r\n")
        report = Registration("home", code, phrase, status, active and code == 200, message, "192.0.2.7:5060")
        self.desk.on_registration(report)

    def pass_time(self, seconds: float) -> list[str]:
        """What the stack was asked meanwhile."""
        self.stack.done.clear()
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            for action in self.agenda.due(self.now):
                action()
        return list(self.stack.done)

    def last(self) -> RegistrationChanged:
        event = self.events[-1]
        assert isinstance(event, RegistrationChanged)
        return event


@pytest.fixture
def box() -> Desk:
    return Desk()


def test_an_account_is_put_and_registered_with_no_credentials_before_the_realm_is_known(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    assert box.stack.done == ["put home", "register home"]
    assert box.stack.realms["home"] == ""
    box.answer(401)
    assert box.pass_time(1) == ["put home", "register home"]
    assert box.stack.realms["home"] == "r.example"
    box.answer(200)
    assert box.last() == RegistrationChanged("home", registered=True, sip_code=200, reason=reasons.REGISTERED)


def test_a_registrar_that_challenges_for_ever_is_believed_the_third_time(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.answer(401)
    box.pass_time(1)
    box.answer(401)
    assert box.last().reason == reasons.BAD_PASSWORD
    assert box.pass_time(250) == []
    assert "register home" in box.pass_time(100)


def test_the_same_accounts_again_disturb_nothing(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.stack.done.clear()
    box.desk.set_accounts([HOME])
    assert box.stack.done == []


def test_silence_is_retried_sooner_then_later(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    waits = []
    for _ in range(5):
        box.answer(408, local=True)
        assert box.last().reason == reasons.NO_ANSWER
        began = box.now
        while not box.pass_time(0.5):
            assert box.now - began < 100
        waits.append(box.now - began)
    assert waits[0] <= 6.5
    assert 40 <= waits[-1] <= 73
    assert waits == sorted(waits)


def test_no_way_to_the_server_is_told_at_once_and_mended_at_once(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.answer(200)
    box.desk.route_changed("home", "192.0.2.50")
    box.stack.done.clear()
    box.desk.route_changed("home", "")
    assert box.last() == RegistrationChanged("home", registered=False, sip_code=0, reason=reasons.NO_NETWORK)
    assert box.stack.done == []
    box.desk.route_changed("home", "192.0.2.51")
    assert box.stack.done == ["register home"]


def test_what_the_stack_cannot_send_is_told_and_tried_again(box: Desk) -> None:
    box.stack.broken = StackError(120_101, "Network is unreachable")
    box.desk.set_accounts([HOME])
    assert box.last().reason == reasons.NO_NETWORK
    box.stack.broken = None
    assert "register home" in box.pass_time(7)


def test_an_account_that_carries_a_call_leaves_after_it(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.busy.add("home")
    box.stack.done.clear()
    box.desk.set_accounts([])
    assert box.stack.done == []
    assert box.desk.account("home") is None
    box.busy.clear()
    box.desk.calls_changed()
    assert box.stack.done == ["remove home"]


def test_another_server_is_a_new_account_unless_a_call_runs(box: Desk) -> None:
    moved = SipAccount("home", "192.0.2.2", "bob", "secret")
    box.desk.set_accounts([HOME])
    box.stack.done.clear()
    box.desk.set_accounts([moved])
    assert box.stack.done == ["remove home", "put home", "register home"]
    box.busy.add("home")
    box.stack.done.clear()
    box.desk.set_accounts([HOME])
    assert box.stack.done == ["move home"]


def test_identities_hold_names_numbers_and_every_known_address(box: Desk) -> None:
    box.desk.set_accounts(
        [SipAccount("home", "sip.example.org", "Bob", "p", auth_user="b77", trusted_hosts=("198.51.100.4",))]
    )
    assert box.asked == [["sip.example.org"]]
    box.desk.resolved({"sip.example.org": frozenset({"192.0.2.5"})})
    box.answer(200)
    (identity,) = box.desk.identities()
    assert identity.users == {"bob", "b77"}
    assert identity.addresses == {"198.51.100.4", "192.0.2.5", "192.0.2.7"}


def test_the_pages_test_button_always_gets_an_answer(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.answer(200)
    before = len(box.events)
    box.desk.register_now("home")
    box.answer(200)
    assert len(box.events) > before
    assert box.last().registered
    box.desk.register_now("nobody")
    assert box.last().reason == reasons.NO_ACCOUNT


def test_at_the_stop_registered_accounts_unregister(box: Desk) -> None:
    box.desk.set_accounts([HOME])
    box.answer(200)
    box.stack.done.clear()
    box.desk.unregister_all()
    assert box.stack.done == ["unregister home"]
    assert box.desk.any_registered()
    box.answer(200, active=False)
    assert not box.desk.any_registered()
    assert box.pass_time(100) == []
