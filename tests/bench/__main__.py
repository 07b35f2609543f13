"""Prints every figure of the house beside its goal and its reference, with the machine named.

    python -m tests.bench [--quick] [--only NAME ...] [--json FILE] [--markdown FILE]

Asserts nothing: a missed goal is printed as missed. Exit code 1 only if a row could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    announcements,
    bill,
    call_waiting,
    callerid,
    chain,
    deck_import,
    disturbed,
    dtmf_set,
    dtmf_talkoff,
    echo_figures,
    fax,
    gaps,
    handset,
    incoming,
    lateness,
    line_cpu,
    line_doctor,
    line_timing,
    lines,
    load,
    many_calls,
    million,
    price,
    roundtrip,
    serial_hat,
    start,
    voice_clicks,
    voice_delay,
    voice_loss,
)
from tests.bench.figure import Figure, Plan, header, machine, markdown_table, put_markdown, text_table

# In the order of the table. What needs a quiet machine comes before what makes it busy.
ROWS: dict[str, Callable[[Plan], list[Figure]]] = {
    "dial-tone": handset.dial_tone,
    "invite": handset.invite,
    "ring": incoming.ring,
    "answer": incoming.answer,
    "call-waiting": call_waiting.call_waiting,
    "price-spoken": announcements.price_spoken,
    "call-cut": announcements.call_cut,
    "edge-latency": line_timing.edge_latency,
    "ring-jitter": line_timing.ring_jitter,
    "serial-hat": serial_hat.serial_hat,
    "round-trip": roundtrip.round_trip,
    "voice-delay": voice_delay.voice_delay,
    "voice-loss": voice_loss.voice_loss,
    "voice-clicks": voice_clicks.voice_clicks,
    "fax": fax.fax,
    "late-frames": lateness.late_frames,
    "disturbed": disturbed.disturbed,
    "gaps": gaps.gaps,
    "load": load.load,
    "lines": lines.lines,
    "many-calls": many_calls.many_calls,
    "start": start.start,
    "price": price.price,
    "bill": bill.bill,
    "million-calls": million.million,
    "deck-import": deck_import.deck_import,
    "hostile-decks": deck_import.hostile_decks,
    "deck-import-call": deck_import.deck_import_call,
    "chain": chain.chain,
    "line-cpu": line_cpu.line_cpu,
    "line-doctor": line_doctor.line_doctor,
    "dtmf-set": dtmf_set.dtmf_set,
    "talk-off": dtmf_talkoff.talk_off,
    "caller-id": callerid.caller_id,
    "echo": echo_figures.echo,
}


def measured(name: str, plan: Plan) -> list[Figure]:
    """One row; a row that fails says why, and the others go on."""
    began = time.monotonic()
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    try:
        figures = ROWS[name](plan)
    except Exception as error:  # noqa: BLE001 - whatever a peer or a process came to grief with
        traceback.print_exc()
        figures = [Figure(name, "", None, note=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")]
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="few repetitions, 30 s in place of 10 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, each measurement included")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="the table, put between the marks of docs/performance.md, or as a file of its own",
    )
    given = parser.parse_args()
    # Where it is set every start compiles the house anew, which no installed box does; and it costs memory.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    about = machine()  # before anything is measured: the load is the machine's, not ours
    title = header(about, quick=given.quick)
    print(title, end="\n\n", flush=True)
    plan = Plan(quick=given.quick)
    figures = [figure for name in ROWS if name in given.only for figure in measured(name, plan)]
    print(text_table(figures))
    if given.json:
        whole = {"machine": about, "quick": given.quick, "figures": [figure.as_json() for figure in figures]}
        given.json.write_text(json.dumps(whole, indent=1) + "\n")
    if given.markdown:
        put_markdown(given.markdown, f"{title}\n\n{markdown_table(figures)}")
    return 1 if any(figure.median is None for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
