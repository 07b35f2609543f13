"""Property: whatever commit or hand-over the power is cut at, each missed call is told, and told twice
only where the cut fell between the server's 250 and our commit.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from sqlite3 import Connection

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.clock import Clock
from firmware.webmail.mailstore import Cursor, MailStore
from firmware.webmail.trouble import Trouble
from tests.webmail.house import ACCOUNT, House, PostOffice, call, trouble


class PowerCutError(BaseException):
    """Nothing after it runs, as in a real one (no `except Exception` sees it)."""


class Mains:
    """Cuts the power at the numbered moments of a run."""

    def __init__(self, moments: set[int]) -> None:
        self.moments = moments
        self.moment = 0
        self.handed_over: str | None = None  # taken by the server, not yet committed
        self.excused: Counter[str] = Counter()

    def may_cut(self) -> None:
        self.moment += 1
        if self.moment in self.moments:
            if self.handed_over is not None:
                self.excused[self.handed_over] += 1
                self.handed_over = None
            raise PowerCutError


class MortalStore(MailStore):
    """The power may go before and after every commit."""

    mains: Mains | None = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with super()._transaction() as db:
            yield db
            if self.mains is not None:
                self.mains.may_cut()
        if self.mains is not None:
            self.mains.handed_over = None
            self.mains.may_cut()


class MortalPost(PostOffice):
    """The power may go before and after the server's 250."""

    def __init__(self, mains: Mains) -> None:
        super().__init__()
        self.mains = mains

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        self.mains.may_cut()
        super().send(sender, recipient, message)
        self.mains.handed_over = str(message_from_bytes(message)["Message-ID"])
        self.mains.may_cut()


class MortalHouse(House):
    def __init__(self, data: Path, mains: Mains) -> None:
        super().__init__(data)
        self.data = data
        self.mains = mains
        self.post = MortalPost(mains)
        self.restart()

    def open_store(self, clock: Clock) -> MortalStore:
        return MortalStore(self.data, clock)

    def restart(self) -> None:
        """A new process on what the disk holds; the box and the server went on."""
        self.store.close()
        store = self.open_store(self.clock)
        self.wire(store)
        store.mains = self.mains

    def step(self) -> float | None:
        try:
            return self.postman.step()
        except PowerCutError:
            self.restart()
            return 0.0


MISS = st.tuples(st.just("miss"), st.integers(min_value=1, max_value=4))
DOWN = st.tuples(st.just("down"), st.sampled_from([Trouble.UNREACHABLE, Trouble.BUSY, Trouble.SLOW]))
LATER = st.tuples(st.just("later"), st.sampled_from([Trouble.MAIL_LATER, Trouble.UNREACHABLE]))
STEP = st.tuples(st.just("step"), st.sampled_from([0.0, 10.0, 100.0]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(MISS, DOWN, LATER, STEP), max_size=12), st.sets(st.integers(1, 120), max_size=8))
def test_no_power_cut_loses_a_mail_or_doubles_one_outside_the_stated_window(
    story: list[tuple[str, object]], moments: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = MortalHouse(Path(folder), Mains(moments))
        missed = 0
        for what, given_value in story:
            if what == "miss":
                for _ in range(int(str(given_value))):
                    missed += 1
                    house.box.records.append(call(missed))
                house.postman.wake()
            elif what == "step":
                house.step()
                house.clock.advance(float(str(given_value)))
            else:
                assert isinstance(given_value, Trouble)
                (house.post.at_login if what == "down" else house.post.at_mail).append(trouble(given_value))
        house.post.at_login.clear()
        house.post.at_mail.clear()
        house.postman.wake()
        for _ in range(200):
            wait = house.step()
            if wait is None:
                break
            house.clock.advance(wait)
        told = Counter(str(message_from_bytes(message)["Message-ID"]) for _, _, message in house.post.delivered)
        assert {int(message_id.split("-")[1]) for message_id in told} == set(range(1, missed + 1))
        for message_id, times in told.items():
            assert times <= 1 + house.mains.excused[message_id]
        house.store.close()


def test_the_stated_window_exists_and_the_doubled_mail_has_the_same_message_id(tmp_path: Path) -> None:
    house = MortalHouse(tmp_path, Mains(set()))
    house.box.records.append(call(1))
    house.postman.wake()

    class CutAfter250(Mains):
        def may_cut(self) -> None:
            if self.handed_over is not None and self.moment == 0:
                self.moment = 1
                raise PowerCutError

    mains = CutAfter250(set())
    assert isinstance(house.post, MortalPost)
    house.post.mains = house.mains = mains
    house.step()
    house.settle()
    ids = [message_from_bytes(message)["Message-ID"] for _, _, message in house.post.delivered]
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_the_cursor_and_the_mails_are_committed_together(tmp_path: Path) -> None:
    house = MortalHouse(tmp_path, Mains(set()))
    house.box.records += [call(1), call(2)]
    cursor, linked = house.store.cursor(), house.store.linked()
    assert cursor is not None
    assert linked is not None
    mains = Mains({1})
    assert isinstance(house.store, MortalStore)
    house.store.mains = mains
    try:
        house.journal._take(linked, cursor, house.box.records)
    except PowerCutError:
        house.restart()
    assert house.store.cursor() == Cursor(0)
    assert house.store.waiting() == []
    house.journal._take(linked, cursor, house.box.records)
    assert house.store.cursor() == Cursor(2, call(2)["started"])
    assert len(house.store.waiting()) == 2
    assert linked.account == ACCOUNT
