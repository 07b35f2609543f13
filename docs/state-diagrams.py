"""Draw docs/line-states.md and docs/causes.md from the tables in the code; `--check` compares instead.

python docs/state-diagrams.py            writes both
python docs/state-diagrams.py --check    exit code 1 and a sentence if either is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Protocol, TypeVar

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from firmware.telephony import call_states, causes, line_states  # noqa: E402 - the checkout, installed or not
from firmware.telephony.call import CallSettings  # noqa: E402
from firmware.telephony.line import LineSettings  # noqa: E402

State = TypeVar("State", bound=Enum)
Cue = TypeVar("Cue", bound=Enum)


class Edge(Protocol):
    """A transition of either table."""

    @property
    def to(self) -> Enum: ...  # noqa: D102

    @property
    def act(self) -> Enum | None: ...  # noqa: D102

    @property
    def inside(self) -> bool: ...  # noqa: D102


def diagram(table: Mapping[State, Mapping[Cue, Edge]], first: State, last: Iterable[State] = ()) -> list[str]:
    """A mermaid diagram. Triggers that lead the same way with the same act share an arrow."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {name(first)}"]
    for state, edges in table.items():
        arrows: dict[tuple[str, str], list[str]] = {}
        for trigger, edge in edges.items():
            act = f" / {edge.act.value}" if edge.act is not None else ""
            arrows.setdefault((name(edge.to), act), []).append(str(trigger.value))
        for (to, act), triggers in arrows.items():
            lines.append(f"    {name(state)} --> {to}: {' or '.join(triggers)}{act}".replace(";", ","))
    lines += [f"    {name(state)} --> [*]" for state in last]
    return [*lines, "```"]


def name(state: Enum) -> str:
    """A state as mermaid may spell it."""
    return str(state.value).replace("-", "_").upper()


def postures() -> list[str]:
    """What holds in each state of a line."""
    rows = ["| state | bell rings | digits listened for | joined to a call | timer |", "|---|---|---|---|---|"]
    for state, posture in line_states.POSTURES.items():
        timer = posture.timer.value if posture.timer is not None else ""
        marks = (mark(on=posture.ringing), mark(on=posture.listening), mark(on=posture.voice), timer)
        rows.append(f"| {name(state)} | {' | '.join(marks)} |")
    return rows


def mark(*, on: bool) -> str:
    """A table's yes."""
    return "yes" if on else ""


def times(settings: LineSettings | CallSettings) -> list[str]:
    """The default times, in seconds."""
    rows = ["| setting | default |", "|---|---|"]
    return rows + [
        f"| {field} | {figures(getattr(settings, field))} |" for field in type(settings).__dataclass_fields__
    ]


def figures(value: float | tuple[float, ...]) -> str:
    """A default, or several."""
    return ", ".join(f"{one:g}" for one in (value if isinstance(value, tuple) else (value,)))


def theory(doc: str | None) -> list[str]:
    """The theory of operation of a module, its underlined heading as markdown's."""
    text = (doc or "").split("Theory of operation\n-------------------\n", 1)[-1].strip()
    # Indented lines are drawings in both.
    return text.splitlines()


def line_states_page() -> str:
    """docs/line-states.md."""
    return "\n".join(
        [
            "# The states of a line and of a call",
            "",
            "<!-- Made by docs/state-diagrams.py from firmware/telephony/line_states.py and call_states.py:",
            "     do not edit. -->",
            "",
            "## A line",
            "",
            *theory(line_states.__doc__),
            "",
            *diagram(line_states.TRANSITIONS, line_states.LineState.IDLE),
            "",
            *postures(),
            "",
            "Times in seconds (`LineSettings`): first digit, between digits and after a match as Asterisk's",
            "`chan_dahdi` has them.",
            "",
            *times(LineSettings()),
            "",
            "## A call",
            "",
            *theory(call_states.__doc__),
            "",
            *diagram(call_states.TRANSITIONS, call_states.CallState.NEW, [call_states.CallState.OVER]),
            "",
            "Times in seconds, the numbers of rounds and of tries (`CallSettings`).",
            "",
            *times(CallSettings()),
            "",
        ]
    )


def main() -> int:
    """Write, or compare."""
    pages = {HERE / "line-states.md": line_states_page(), HERE / "causes.md": causes.as_markdown()}
    if "--check" not in sys.argv[1:]:
        for path, page in pages.items():
            path.write_text(page, encoding="utf-8")
        return 0
    stale = [path for path, page in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != page]
    for path in stale:
        print(f"{path.name} is out of date: run python docs/state-diagrams.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
