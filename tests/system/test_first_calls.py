"""The first day, with a real registrar and real telephones: Kamailio, baresip, SIPp on loopback."""

import pytest

from firmware.service import AccountDraft
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Baresip, Kamailio, Sipp, SippCaller, wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

NUMBER = "0142685300"
USERS = {"box": "pw-box", "bob": "pw-bob"}


def account(registrar: Kamailio, **more: object) -> AccountDraft:
    draft = {"name": "home", "server": f"{LOOPBACK}:{registrar.port}", "user": "box", "password": "pw-box"}
    return draft | more  # type: ignore[return-value]


def test_the_box_calls_baresip_by_kamailio_with_digest_and_the_record_tells_all() -> None:
    with (
        Kamailio(USERS, aliases={"+33142685300": "bob"}) as registrar,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", audio="echo") as bob,
        RunningBox(account(registrar)) as box,
    ):
        box.wait_registered("home")
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        bob.wait("CALL_ESTABLISHED")
        box.state("talking")
        assert any(value is not None for value in box.phone.roundtrip(3)), "nothing came back from the echo"
        bob.hangup()
        box.phone.wait("busy", 10)
        box.phone.hangup()
        (record,) = box.calls()
        assert (record["number"], record["dialled"], record["account"]) == ("+33142685300", NUMBER, "home")
        assert (record["end"], record["sip_code"], record["codec"]) == ("callee", 200, "PCMA/8000")
        assert record["answered"]
        assert record["call_id"]


def test_baresip_calls_the_box_it_rings_shows_the_caller_and_is_answered() -> None:
    with (
        Kamailio(USERS) as registrar,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", audio="echo", display_name="Bob Durand") as bob,
        RunningBox(account(registrar)) as box,
    ):
        box.wait_registered("home")
        bob.dial("box")
        box.phone.wait("ring", 10)
        box.phone.wait("caller-id", 10)
        assert box.phone.state()["caller_id"]["name"] == "Bob Durand"
        box.phone.lift()
        bob.wait("CALL_ESTABLISHED")
        box.state("talking")
        box.phone.hangup()
        bob.wait("CALL_CLOSED")
        (record,) = box.calls()
        assert (record["direction"], record["name"], record["end"]) == ("in", "Bob Durand", "callee")


def test_a_wrong_password_is_told_in_words_and_the_handset_says_so_too() -> None:
    with Kamailio(USERS) as registrar, RunningBox(account(registrar, password="wrong")) as box:

        def told() -> bool:
            row = box.client.accounts()[0]
            return row["sip_code"] in {401, 403} and bool(row["reason"])

        wait_until(told, 20, "the registrar's refusal")
        wait_until(lambda: box.client.status()["lines"][0]["outlook"] == "unregistered", 5, "the outlook to be bad")
        box.client.change_account("home", {"password": "pw-box"})
        box.wait_registered("home")
        assert box.client.status()["lines"][0]["outlook"] == "ready"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_the_box_registers_and_calls_over(transport: str) -> None:
    with Kamailio(USERS, aliases={"+33142685300": "bob"}) as registrar:
        port = registrar.tls_port if transport == "tls" else registrar.port
        draft = account(registrar, server=f"localhost:{port}", transport=transport, ca_file=str(registrar.ca_file))
        with (
            Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", audio="echo") as bob,
            RunningBox(draft) as box,
        ):
            box.wait_registered("home")
            box.phone.lift()
            box.phone.dial(NUMBER)
            bob.wait("CALL_ESTABLISHED")
            box.state("talking")
            box.phone.hangup()
            bob.wait("CALL_CLOSED")


def test_a_server_whose_certificate_is_not_trusted_is_refused_in_words() -> None:
    with Kamailio(USERS) as registrar:
        draft = account(registrar, server=f"localhost:{registrar.tls_port}", transport="tls")
        with RunningBox(draft) as box:

            def refused_in_words() -> bool:
                reason = box.client.accounts()[0]["reason"].lower()
                return "certificate" in reason or "tls" in reason

            wait_until(refused_in_words, 20, "the refusal in words")
            assert not box.client.accounts()[0]["registered"]


@pytest.mark.parametrize(("code", "heard"), [(486, "busy"), (503, "congestion"), (404, "voice")])
def test_a_refused_call_sounds_as_an_exchange_would(code: int, heard: str) -> None:
    with Kamailio(USERS, responses={"+33142685300": code}) as registrar, RunningBox(account(registrar)) as box:
        box.wait_registered("home")
        wait_until(lambda: "announcements ready" in box.log(), 30, "the announcements to be spoken")
        box.phone.lift()
        box.phone.dial(NUMBER)
        box.phone.wait(heard, 25)
        box.phone.hangup()
        assert box.calls()[0]["sip_code"] == code


def test_a_rotary_dial_reaches_the_peer() -> None:
    with (
        Kamailio(USERS, aliases={"3699": "bob"}) as registrar,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", answer=False) as bob,
        RunningBox(account(registrar)) as box,
    ):
        box.wait_registered("home")
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial("3699", pulse=True)
        bob.wait("CALL_INCOMING")
        box.phone.wait("ringback", 10)
        box.phone.hangup()
        bob.wait("CALL_CLOSED")
        assert box.calls()[0]["end"] == "cancelled"


@pytest.mark.timeout(480)
def test_a_hundred_calls_in_a_row_ring_and_are_recorded_and_twenty_callers_are_read_from_the_line() -> None:
    callers = [SippCaller(f"01426853{n:02d}", f"Appelant {n}", asserted=n % 2 == 0) for n in range(100)]
    with Kamailio(USERS) as registrar, RunningBox(account(registrar)) as box:
        box.wait_registered("home")
        for n, caller in enumerate(callers):
            with Sipp(
                "uac_call.xml", f"{LOOPBACK}:{registrar.port}", service="box", callers=[caller], pause_ms=50
            ) as sipp:
                box.phone.wait("ring", 20)
                if n % 5 == 0:  # let it ring until the caller is read from the samples
                    box.phone.wait("caller-id", 20)
                    shown = box.phone.state()["caller_id"]
                    assert (shown["number"], shown["name"]) == (caller.number, caller.name)
                box.phone.lift()
                assert sipp.wait(20).successful == 1, n
            box.phone.hangup()
            box.state("idle")
        rows = box.calls(100)
        assert [row["name"] for row in reversed(rows)] == [caller.name for caller in callers]
        assert {row["end"] for row in rows} == {"caller"}
        assert len({row["call_id"] for row in rows}) == 100


def test_a_caller_who_gives_up_is_a_missed_call() -> None:
    with Kamailio(USERS) as registrar, RunningBox(account(registrar)) as box:
        box.wait_registered("home")
        target = f"{LOOPBACK}:{registrar.port}"
        with Sipp(
            "uac_cancel.xml", target, service="box", callers=[SippCaller(NUMBER, "Mamie")], pause_ms=2500
        ) as sipp:
            box.phone.wait("ring", 10)
            assert sipp.wait().successful == 1
        box.state("idle")
        wait_until(lambda: not box.phone.state()["ringing"], 10, "the bell to stop")
        (missed,) = box.client.calls({"missed": True})
        assert missed["name"] == "Mamie"
