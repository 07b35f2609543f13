"""A page from one fax machine to another, through two boxes and a network between them, as fast as it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.udp_schedule import Network
from tests.system.fax_boxes import fax_house

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

TRIES = 3


def test_a_page_arrives_point_for_point_though_packets_are_lost(tmp_path: Path) -> None:
    seen = []
    with fax_house(tmp_path) as house:
        for seed in range(1, TRIES + 1):
            page = house.page(Network(loss=0.005), rows=60, seed=seed)
            seen.append(page)
            if page.identical:
                break
        else:
            raise AssertionError(seen)
        assert (page.sent["result"], page.received["result"]) == ("OK", "OK")
        assert page.received["error_correcting"]
        for record in page.records:
            quality = record.get("quality")
            assert quality is not None
            assert quality["fax"] is True, "both boxes have heard what it was"
            assert record["codec"] == "PCMA/8000"
            assert quality["buffer_max_ms"] >= 80
