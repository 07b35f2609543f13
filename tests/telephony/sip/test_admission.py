"""Who is heard: the account's own servers, for the account's own number, and dialogs of ours."""

from __future__ import annotations

import pytest

from firmware.telephony.sip.admission import INVITES_A_SECOND, Admission, Dialog, Identity, Verdict, canonical
from firmware.telephony.sip.message import SipMessage, parse_message

PROVIDER, OTHER = "192.0.2.1", "192.0.2.99"


def message(first: str, *headers: str) -> SipMessage:
    parsed = parse_message("\r\n".join([first, *headers, "", ""]))
    assert parsed is not None
    return parsed


def invite(user: str = "bob", call_id: str = "c1", to: str = "<sip:x@y>") -> SipMessage:
    return message(f"INVITE sip:{user}@box SIP/2.0", "Via: SIP/2.0/UDP x", f"To: {to}", f"Call-ID: {call_id}")


@pytest.fixture
def judge() -> Admission:
    admission = Admission()
    admission.set_accounts([Identity("home", frozenset({"bob"}), "+33142685300", frozenset({PROVIDER}))])
    return admission


def test_the_providers_invite_for_our_user_passes(judge: Admission) -> None:
    assert judge.judge_request(PROVIDER, invite(), 0) is Verdict.PASS
    assert judge.judge_request("::ffff:192.0.2.1", invite(), 0) is Verdict.PASS


@pytest.mark.parametrize("user", ["+33142685300", "0142685300", "0033142685300", "BOB"])
def test_our_number_counts_in_every_form(judge: Admission, user: str) -> None:
    assert judge.account_of(PROVIDER, invite(user)) == "home"


@pytest.mark.parametrize("user", ["1000", "0142685301", "", "5300"])
def test_another_user_is_nobodys_even_from_the_provider(judge: Admission, user: str) -> None:
    assert judge.judge_request(PROVIDER, invite(user), 0) is Verdict.DROP


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "MESSAGE", "BYE", "NOTIFY", "CANCEL"])
def test_a_stranger_is_dropped_whatever_he_says(judge: Admission, method: str) -> None:
    request = message(f"{method} sip:bob@box SIP/2.0", "To: <sip:bob@box>", "Call-ID: c1")
    assert judge.judge_request(OTHER, request, 0) is Verdict.DROP


def test_within_a_call_of_ours_any_machine_may_speak_but_not_begin(judge: Admission) -> None:
    judge.calls["ours"] = Dialog("home", theirs=False)
    bye = message("BYE sip:bob@box SIP/2.0", "To: <sip:x@y>;tag=1", "Call-ID: ours")
    assert judge.judge_request(OTHER, bye, 0) is Verdict.PASS
    assert judge.judge_request(OTHER, invite(call_id="ours"), 0) is Verdict.DROP
    unknown = message("BYE sip:bob@box SIP/2.0", "To: <sip:x@y>;tag=1", "Call-ID: theirs")
    assert judge.judge_request(OTHER, unknown, 0) is Verdict.DROP


def test_without_accounts_nobody_is_heard() -> None:
    assert Admission().judge_request(PROVIDER, invite(), 0) is Verdict.DROP
    assert Admission().judge_request(PROVIDER, None, 0) is Verdict.DROP


def challenge(call_id: str, cseq: str, *more: str) -> SipMessage:
    return message("SIP/2.0 407 Proxy Authentication Required", f"Call-ID: {call_id}", f"CSeq: {cseq}", *more)


@pytest.mark.parametrize(
    ("source", "call_id", "cseq", "verdict"),
    [
        (PROVIDER, "ours", "1 INVITE", Verdict.PASS),
        (PROVIDER, "ours", "2 BYE", Verdict.PASS),
        (OTHER, "ours", "2 BYE", Verdict.DENY_CHALLENGE),
        (OTHER, "ours", "1 INVITE", Verdict.DENY_CHALLENGE),
        (PROVIDER, "theirs", "2 BYE", Verdict.DENY_CHALLENGE),
        (PROVIDER, "unheard of", "2 BYE", Verdict.DENY_CHALLENGE),
        (PROVIDER, "any", "1 REGISTER", Verdict.PASS),
        (OTHER, "any", "1 REGISTER", Verdict.DENY_CHALLENGE),
        (PROVIDER, "any", "1 SUBSCRIBE", Verdict.PASS),
        (OTHER, "any", "1 SUBSCRIBE", Verdict.DENY_CHALLENGE),
        (OTHER, "ours", "1 SUBSCRIBE", Verdict.DENY_CHALLENGE),
    ],
)
def test_a_challenge_counts_from_the_accounts_own_server_in_a_dialog_that_we_opened(
    judge: Admission, source: str, call_id: str, cseq: str, verdict: Verdict
) -> None:
    judge.calls.update(theirs=Dialog("home", theirs=True), ours=Dialog("home", theirs=False))
    assert judge.judge_answer(source, challenge(call_id, cseq)) is verdict


def test_another_accounts_server_cannot_challenge_our_call(judge: Admission) -> None:
    judge.set_accounts([*judge.accounts, Identity("work", frozenset({"eve"}), "", frozenset({OTHER}))])
    judge.calls["ours"] = Dialog("home", theirs=False)
    assert judge.judge_answer(OTHER, challenge("ours", "2 BYE")) is Verdict.DENY_CHALLENGE


@pytest.mark.parametrize("extra", ["CSeq: 2 BYE", "X: y\rCSeq: 2 BYE"])
def test_a_second_cseq_behind_a_first_hides_nothing(judge: Admission, extra: str) -> None:
    judge.calls["ours"] = Dialog("home", theirs=False)
    judge.srv = True
    assert judge.judge_answer(OTHER, challenge("ours", "1 REGISTER", extra)) is Verdict.DENY_CHALLENGE
    assert judge.judge_answer(PROVIDER, challenge("x", "2 BYE", "Call-ID: ours")) is Verdict.DENY_CHALLENGE


def test_with_srv_records_the_servers_are_trusted_until_the_far_end_has_answered(judge: Admission) -> None:
    judge.srv = True
    judge.calls["ours"] = Dialog("home", theirs=False)
    assert judge.judge_answer(OTHER, challenge("c", "1 REGISTER")) is Verdict.PASS
    assert judge.judge_answer(OTHER, challenge("ours", "1 INVITE")) is Verdict.PASS
    assert judge.judge_answer(OTHER, challenge("ours", "2 UPDATE")) is Verdict.DENY_CHALLENGE
    judge.calls["ours"].answered = True
    assert judge.judge_answer(OTHER, challenge("ours", "2 INVITE")) is Verdict.DENY_CHALLENGE


def test_a_burst_is_held_back_and_passes_later(judge: Admission) -> None:
    for number in range(INVITES_A_SECOND):
        assert judge.judge_request(PROVIDER, invite(call_id=f"c{number}"), 1.0) is Verdict.PASS
    assert judge.judge_request(PROVIDER, invite(call_id="late"), 1.5) is Verdict.LATER
    assert judge.judge_request(PROVIDER, invite(call_id="late"), 2.1) is Verdict.PASS


def test_over_a_stream_a_burst_is_refused_for_nobody_repeats(judge: Admission) -> None:
    def over(transport: str, call_id: str) -> SipMessage:
        return message("INVITE sip:bob@box SIP/2.0", f"Via: SIP/2.0/{transport} x", f"Call-ID: {call_id}")

    for number in range(INVITES_A_SECOND):
        assert judge.judge_request(PROVIDER, over("TCP", f"c{number}"), 1.0) is Verdict.PASS
    assert judge.judge_request(PROVIDER, over("UDP", "late"), 1.5) is Verdict.LATER
    assert judge.judge_request(PROVIDER, over("TCP", "late"), 1.5) is Verdict.BUSY
    assert judge.judge_request(PROVIDER, over("TLS", "late"), 1.5) is Verdict.BUSY


def test_an_account_for_calling_out_only_cannot_be_called(judge: Admission) -> None:
    judge.set_accounts(
        [Identity("last-good home", frozenset({"bob"}), "+33142685300", frozenset({PROVIDER}), reachable=False)]
    )
    assert judge.judge_request(PROVIDER, invite(), 0) is Verdict.DROP
    judge.calls["ours"] = Dialog("last-good home", theirs=False)
    assert judge.judge_answer(PROVIDER, challenge("ours", "1 INVITE")) is Verdict.PASS


def test_addresses_have_one_spelling() -> None:
    assert canonical("::FFFF:192.0.2.1") == "192.0.2.1"
    assert canonical("[2001:DB8:0::1]") == "2001:db8::1"
    assert canonical("fe80::1%eth0") == "fe80::1"
    assert canonical("name") == "name"
