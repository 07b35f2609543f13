"""Forty quick calls leave nothing behind in the core: no open file, no thread, no further heap."""

from __future__ import annotations

import pytest

from tests.bench.many_calls import Calling, handles, thread_heaps
from tests.system.peer_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SLACK = 6  # the control pool's threads and sockets come as they are needed; a leak would be one a call


def test_forty_calls_leave_no_open_file_and_no_thread() -> None:
    with Calling(3) as calling:
        calling.make(3)
        calling.ring_in_vain(2)
        box = calling.box
        before = handles(box.pid("core"))
        calling.make(12)
        calling.ring_in_vain(28)
        assert not calling.failures

        def as_before() -> bool:
            return all(now <= then + SLACK for now, then in zip(handles(box.pid("core")), before, strict=True))

        assert thread_heaps(box.pid("core")) <= 1
        wait_until(as_before, 10, f"files and threads to be about {before} again")
        rows = box.calls(45)
        assert [len([row for row in rows if row["direction"] == way]) for way in ("out", "in")] == [15, 30]
        assert all(row["answered"] for row in rows if row["direction"] == "out")
