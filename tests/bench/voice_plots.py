"""Draws what `voice-clicks` heard, one SVG a network, for docs/: level, clicks, stalls, delay and loss over the call.

    python -m tests.bench --only voice-clicks --json clicks.json
    python -m tests.bench.voice_plots clicks.json docs

Readable on light and dark ground: the colours follow the reader's own choice.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT = 760, 56, 744
_LEVEL_HEIGHT, _DELAY_HEIGHT = 76, 64
_LEAST_DB, _MOST_DB = -60.0, 0.0
_DB_LINES = (-60, -40, -20, 0)
_DELAY_STEPS = (50, 100, 200, 500, 1000)
_MOST_LOSS = 10.0
_MOST_MARKS = 400
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#1f2328}.small{font-size:10px}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:#8c959f;stroke-opacity:.35;fill:none}.level{stroke:#0969da;fill:none;stroke-width:1.2}
.delay{stroke:#1a7f37;fill:none;stroke-width:1.5}.loss{fill:#bf8700;fill-opacity:.7}
.click{stroke:#cf222e;stroke-width:1.5}.stall{stroke:#6e7781;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#8b949e}.level{stroke:#58a6ff}.delay{stroke:#3fb950}
.loss{fill:#d29922}.click{stroke:#ff7b72}.stall{stroke:#8b949e}}
"""


def svg(name: str, raw: dict[str, Any]) -> str:
    """One network's picture. `raw` is the figure's, of `voice_clicks`."""
    seconds = float(raw["seconds"]) + 1.0
    parts: list[str] = []
    top = 40
    for who in ("caller", "callee"):
        parts += _ear(f"the {who}'s ear", raw[who], seconds, top)
        top += _LEVEL_HEIGHT + _DELAY_HEIGHT + 52
    height = top + 20
    native = raw["native"]
    said = f"pjsua2 alone in the same weather: {len(native['clicks'])} clicks"
    legend = _legend(height - 24)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>{escape(name)}</title><style>{_STYLE}</style>\n"
        f'<text x="{_LEFT}" y="18">{escape(name)}</text>'
        f'<text class="small end" x="{_RIGHT}" y="18">{escape(said)}</text>\n'
        + "\n".join(parts)
        + f"\n{legend}\n</svg>\n"
    )


def _legend(y: int) -> str:
    swatches = (
        (56, "click", "v9", "click"),
        (104, "stall", "v9", "the machine stood still, over 2 ms"),
        (290, "level", "m0 5h10", "level, the least of each half second"),
        (490, "delay", "m0 5h10", "delay, as the box reckons it"),
        (656, "loss", "h8v9h-8z", "loss"),
    )
    return "".join(
        f'<path class="{kind}" d="M{x} {y}{path}"/><text class="small" x="{x + 13}" y="{y + 9}">{said}</text>'
        for x, kind, path, said in swatches
    )


def _ear(title: str, ear: dict[str, Any], seconds: float, top: int) -> list[str]:
    """Level above, delay and loss below."""

    def x(at: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, at / seconds)), 1)

    low = top + _LEVEL_HEIGHT
    found = f"{title}: {len(ear['clicks'])} clicks, {len(ear['calm_clicks'])} of them away from any stall"
    parts = [f'<text class="small" x="{_LEFT}" y="{top - 6}">{escape(found)}</text>']
    for db in _DB_LINES:
        y = _down(db, _LEAST_DB, _MOST_DB, top, low)
        parts.append(_line(y, f"{db} dB"))
    step = float(ear["level_seconds"])
    points = [(x((n + 0.5) * step), _down(db, _LEAST_DB, _MOST_DB, top, low)) for n, db in enumerate(ear["level_db"])]
    parts.append(_curve("level", points))
    parts.append(_marks("click", [x(at) for at in ear["clicks"]], top, 9))
    parts.append(_marks("stall", [x(at) for at, _ in ear["stalls"]], low - 9, 9))
    plot = ear.get("plot")
    below = low + 14
    bottom = below + _DELAY_HEIGHT
    if plot is not None and plot["delay_ms"]:
        most = next((one for one in _DELAY_STEPS if one >= max(plot["delay_ms"])), _DELAY_STEPS[-1])
        parts += [_line(_down(ms, 0, most, below, bottom), f"{ms} ms") for ms in (0, most // 2, most)]
        each = float(plot["seconds"])
        width = round((_RIGHT - _LEFT) * each / seconds * 0.8, 1)
        for n, loss in enumerate(plot["loss_percent"]):
            if loss:
                y = _down(loss, 0, _MOST_LOSS, below, bottom)
                parts.append(f'<path class="loss" d="M{x(n * each)} {bottom}V{y}h{width}V{bottom}z"/>')
        parts.append(
            _curve(
                "delay",
                [(x((n + 0.5) * each), _down(ms, 0, most, below, bottom)) for n, ms in enumerate(plot["delay_ms"])],
            )
        )
        parts.append(
            f'<text class="small end" x="{_RIGHT}" y="{below + 8}">loss bars: full height {_MOST_LOSS:.0f} %</text>'
        )
    every = 60 if seconds > 90 else 2
    for at in range(0, int(seconds) + 1, every):
        label = f"{at // 60} min" if every == 60 else f"{at} s"
        parts.append(f'<text class="small mid" x="{x(at)}" y="{bottom + 12}">{label}</text>')
    return [part for part in parts if part]


def _down(value: float, least: float, most: float, top: int, bottom: int) -> float:
    share = min(1.0, max(0.0, (value - least) / (most - least)))
    return round(bottom - share * (bottom - top), 1)


def _line(y: float, label: str) -> str:
    return (
        f'<path class="grid" d="M{_LEFT} {y}H{_RIGHT}"/>'
        f'<text class="small end" x="{_LEFT - 5}" y="{y + 3:.1f}">{escape(label)}</text>'
    )


def _curve(kind: str, points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    return f'<polyline class="{kind}" points="{" ".join(f"{a:g},{b:g}" for a, b in points)}"/>'


def _marks(kind: str, places: Sequence[float], y: float, height: int) -> str:
    each = sorted(set(places))[:_MOST_MARKS]
    return f'<path class="{kind}" d="{"".join(f"M{place:g} {y}v{height}" for place in each)}"/>' if each else ""


def file_name(network: str) -> str:
    """`voice-clicks-loss-1.svg` of "loss 1 %"."""
    return f"voice-clicks-{re.sub(r'[^a-z0-9]+', '-', network.lower()).strip('-')}.svg"


def main() -> int:
    """Draw each network that the file has."""
    parser = argparse.ArgumentParser(description="Plots of the row voice-clicks.")
    parser.add_argument("json", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    drawn = 0
    for figure in json.loads(given.json.read_text(encoding="utf-8"))["figures"]:
        raw = figure["raw"]
        if "network" in raw:
            path = given.folder / file_name(raw["network"])
            path.write_text(svg(f"{raw['network']}, {raw['seconds']:.0f} s", raw), encoding="utf-8")
            print(f"{path}: {path.stat().st_size} bytes")
            drawn += 1
    if not drawn:
        print(
            f"{given.json}: holds no figure of voice-clicks; make one with --only voice-clicks --json", file=sys.stderr
        )
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
