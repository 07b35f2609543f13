"""Fax pages through two boxes, beside the same machines back to back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figure import Figure, Plan, median
from tests.fakes import fax_page
from tests.fakes.fax_modem import exchange, exchange_with_echo
from tests.fakes.udp_schedule import Network
from tests.system.fax_boxes import Page, fax_house

_LOSSES = (0.0, 0.005)
_SEEDS = (1, 2, 3)
_ALONE_SEEDS = 20
_DELAYS_MS = (50, 100, 150, 200, 230, 260, 300, 400)
_RETURNS_DB = (20.0, 30.0, 60.0)


def fax(plan: Plan) -> list[Figure]:
    """Pages that did not arrive point for point, and what one took, without loss and with 0.5 % of all packets lost.

    libspandsp's machines (V.17, error correction) on simulated lines, their boxes joined by Kamailio and a relay.
    Beside it the same machines with nothing between them but A-law and the loss, in virtual time.
    """
    rows, seeds = int(plan.seconds(400, 60)), _SEEDS[: plan.times(len(_SEEDS), 1)]
    figures = []
    with tempfile.TemporaryDirectory(prefix="allobox-fax-") as name:
        folder = Path(name)
        for loss in _LOSSES:
            with fax_house(folder) as house:
                pages = [house.page(Network(loss=loss), rows=rows, seed=seed) for seed in seeds]
            figures += _figures(loss, rows, pages, *_alone(folder, rows, loss, plan.times(_ALONE_SEEDS, 3)))
        figures.append(_delay_borne(folder))
    return figures


def _delay_borne(folder: Path) -> Figure:
    """How long the way may be until a machine takes its own echo for an answer: back to back, in virtual time."""
    sent, received = folder / "echo-sent.tif", folder / "echo-received.tif"
    fax_page.write(sent, fax_page.drawn(60))
    borne = {
        return_db: next(
            (delay for delay in _DELAYS_MS if not exchange_with_echo(sent, received, delay, return_db)), None
        )
        for return_db in _RETURNS_DB
    }
    words = ", ".join(
        f"{return_db:g} dB down: {'none of those tried' if delay is None else f'{delay} ms'}"
        for return_db, delay in borne.items()
    )
    return Figure(
        "delay one way from which a page fails, each end's echo 20 dB down, back to back",
        "ms",
        float(borne[20.0] or _DELAYS_MS[-1]),
        beside=words,
        note=f"tried: {', '.join(map(str, _DELAYS_MS))} ms",
    )


def _alone(folder: Path, rows: int, loss: float, count: int) -> tuple[str, float]:
    """How many pages do not arrive without boxes, in words, and the median of the others' seconds."""
    silent, _ = _back_to_back(folder, rows, loss, count, fill=False)
    filled, seconds = _back_to_back(folder, rows, loss, count, fill=True)
    words = f"back to back: {silent} of {count} did not"
    return words + (f", lost packets filled with the one before {filled}" if loss else ""), median(seconds)


def _back_to_back(folder: Path, rows: int, loss: float, count: int, *, fill: bool) -> tuple[int, list[float]]:
    arrived, seconds = 0, []
    for seed in range(1, count + 1):
        page = fax_page.drawn(rows, seed)
        sent, received = folder / "alone-sent.tif", folder / "alone-received.tif"
        received.unlink(missing_ok=True)
        fax_page.write(sent, page)
        _, outcome, took = exchange(sent, received, Network(loss=loss), seed, fill=fill)
        if outcome.result == "OK" and received.exists() and fax_page.read(received) == page:
            arrived += 1
            seconds.append(took)
    return count - arrived, seconds


def _figures(loss: float, rows: int, pages: Sequence[Page], alone: str, alone_seconds: float) -> list[Figure]:
    weather = f"{100 * loss:g} % of packets lost"
    good = [page for page in pages if page.identical]
    passed, came = (sum(page.packets[way] for page in pages) for way in (0, 1))
    slipped = [page.sent["slipped_frames"] + page.received["slipped_frames"] for page in pages]
    measures = [record.get("quality") for page in pages for record in page.records]
    faxes = sum(measure is not None and measure.get("fax", False) for measure in measures)
    results = ", ".join(sorted({page.received["result"] for page in pages}))
    return [
        Figure(
            f"fax pages of {len(pages)} that did not arrive point for point, {weather}",
            "",
            len(pages) - len(good),
            goal=0,
            beside=alone,
            note=(
                f"{rows} rows of 1728 points; {came - passed} of {came} packets lost; frames that a machine's line "
                f"missed: {slipped}; relay late by at most {max(page.machine_ms for page in pages):.1f} ms; "
                f"{faxes} of {2 * len(pages)} records say fax; T.30: {results}"
            ),
            raw={"pages": [{"sent": page.sent, "received": page.received, "same": page.identical} for page in pages]},
        ),
        Figure(
            f"a fax page of {rows} rows, from the bell's answer to the end, {weather}",
            "s",
            median([page.received["seconds"] for page in good]) if good else None,
            beside=f"back to back {alone_seconds:.1f} s",
            note="" if good else "no page arrived",
            raw={"seconds": [page.received["seconds"] for page in pages]},
        ),
    ]
