"""Files that mean harm or are merely broken: an exact error, within two seconds, in bounded memory.

Each is read in a process of its own that may not have more; the limits are generous. The process does
nothing but read, so what it takes is the reader's.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firmware.rates import deckfile
from firmware.rates.columns import COLUMNS, MAX_PRICE
from firmware.rates.deck import Deck, import_csv

MEGA = 1 << 20
HEAD = b"prefix,destination,rate_per_minute\n"
# More than the interpreter and SQLite have to themselves; far less than any of these files unpacked.
MEMORY = 160 * MEGA
SECONDS = 2.0
_CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from firmware.rates.deck import import_csv
from firmware.rates.table import look
from firmware.rates.mapping import Choice
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
times = []
for name in json.loads(sys.stdin.read()):
    begun = time.process_time()
    with open(name, "rb") as stream:
        look(stream, Choice())
    report = import_csv(Path(name), Path(sys.argv[1]), "hostile")
    times.append(time.process_time() - begun)
    print(json.dumps({
        "seconds": times[-1], "rows": report.rows, "stopped": report.stopped,
        "problems": [[p.line, p.column, p.kind, p.cause] for p in report.errors],
    }))
"""


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (64 * MEGA))
    return out.getvalue()


def sparse(size: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(HEAD)
            file.truncate(size)

    return write


FILES: dict[str, tuple[bytes | Callable[[Path], object], list[list[object]]]] = {
    "a line of 100 MB": (
        lambda path: path.write_bytes(HEAD + b"3" * (100 * MEGA) + b"\n34,x,1,1\n"),
        [[2, None, "line-too-long", "longer than 4096 bytes"], [3, None, "columns", "4 columns, the first line 3"]],
    ),
    "a first line of 100 MB": (
        lambda path: path.write_bytes(b"prefix," * (15 * MEGA)),
        [[1, None, "line-too-long", "longer than 4096 bytes"]],
    ),
    "10,000 columns": (HEAD + b"1," * 10_000 + b"\n", [[2, None, "line-too-long", "longer than 4096"]]),
    "2,000 columns": (HEAD + b"," * 1999 + b"1\n", [[2, None, "too-many-columns", "the line has 2000 columns"]]),
    "2,000 names of columns": (b"a," * 2000 + b"\n33", [[1, None, "too-many-columns", "the line has 2001 columns"]]),
    "a million empty lines": (HEAD + b"\n" * 10**6, [[0, None, "empty", "holds no rates"]]),
    "256 MB of nothing": (sparse(300 * MEGA), [[2, None, "file-too-large", "larger than 256 MB"]]),
    "binary": (bytes(range(256)) * 40, [[1, None, "binary", "NUL bytes"]]),
    "a zip bomb called .csv": (zip_bomb(), [[1, None, "not-csv", "workbook"]]),
    "a zip bomb called .xlsx": (zip_bomb(), [[1, None, "not-csv", "workbook"]]),
    "formulas": (
        HEAD + b'33,"=HYPERLINK(""http://x"",""y"")",0.02\n=1+1,x,1\n34,x,=2*3\n35,x,@SUM(A1)\n',
        [
            [3, "prefix", "prefix", "it is a formula"],
            [4, "rate_per_minute", "price", "it is a formula"],
            [5, "rate_per_minute", "price", "it is a formula"],
        ],
    ),
    "numbers that are none": (
        HEAD + b"33,x,1e400\n34,x,-1\n35,x,NaN\n36,x,Infinity\n37,x,0x10\n38,x,1e-400\n39,x," + b"9" * 3000 + b"\n",
        [
            [2, "rate_per_minute", "price", "without an exponent"],
            [3, "rate_per_minute", "price", "it is negative"],
            [4, "rate_per_minute", "price", "'NaN' is not a number"],
            [5, "rate_per_minute", "price", "'Infinity' is not a number"],
            [6, "rate_per_minute", "price", "'0x10' is not a number"],
            [7, "rate_per_minute", "price", "without an exponent"],
            [8, "rate_per_minute", "price", "is not a number"],
        ],
    ),
    "duplicates": (
        HEAD + b"33,x,1\n33,y,2\n330-339,z,3\n33,w,4\n",
        [
            [3, "prefix", "duplicate", "the prefix 33 stands on line 2 already"],
            [4, "prefix", "duplicate", "the prefix 33 stands on line 2 already"],
            [5, "prefix", "duplicate", "the prefix 33 stands on line 2 already"],
        ],
    ),
    "overlapping dates": (
        b"prefix,destination,rate_per_minute,valid_from\n33,a,1,2026-01-01\n33,b,2,2026-01-01T00:00\n33,c,3,2026-02-01\n",
        [[3, "prefix", "duplicate", "stands on line 2 already with the same date"]],
    ),
    "NUL and marks that turn the text": (
        HEAD + b"33,Fr\0ance,1\n" + "34,Fr\u202eance,1\n\u200f35,x,1\n36,x,\u202e1\n".encode(),
        [
            [2, None, "binary", "NUL bytes"],
            [3, "destination", "destination", "control characters"],
            [4, "prefix", "prefix", "is not 1 to 15 digits"],
            [5, "rate_per_minute", "price", "is not a number"],
        ],
    ),
    "endless ranges": (
        HEAD + b"1-999999999999,x,1\n100000000000000-999999999999999,y,1\n" + b'"' + b"1-9," * 900 + b'",z,1\n',
        [
            [2, "prefix", "prefix-range", "goes from 1 digits to 12"],
            [4, "prefix", "prefix-many", "more than 1000 prefixes"],
        ],
    ),
    "a quote that is never closed": (
        HEAD + b'33,"France,1\n34,x,1\n' + b'35,"' * 900 + b"\n",
        [[2, None, "quotes", "not closed on this line"], [4, None, "quotes", "not closed on this line"]],
    ),
    "half UTF-16": (b"\xff\xfe" + b"\x00\xd8" * 100_000, [[1, None, "line-too-long", "longer than 4096 bytes"]]),
    "UTF-16 without end": (("prefix\n" + "3" * (8 * MEGA)).encode("utf-16"), [[1, None, "column-missing", "missing"]]),
    "errors without end": (HEAD + b"0,,x\n" * 200_000, []),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """All files read by one limited process, one after the other: what one leaves behind counts for the next."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for number, (content, _expected) in enumerate(FILES.values()):
        path = folder / f"{number}.csv"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        paths.append(str(path))
    command = [sys.executable, "-c", _CHILD, str(folder / "decks"), "", str(MEMORY)]
    done = subprocess.run(command, input=json.dumps(paths).encode(), capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()[-600:]
    assert list((folder / "decks").iterdir()) == [], "nothing half-made is left"
    for name in paths:
        Path(name).unlink()
    return dict(zip(FILES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_gets_an_exact_error_in_time_and_memory(
    answers: dict[str, dict[str, object]], name: str
) -> None:
    answer, expected = answers[name], FILES[name][1]
    problems = answer["problems"]
    assert isinstance(problems, list)
    assert all(len(cause) < 500 and cause.isprintable() for *_place, cause in problems)
    if expected:
        assert [problem[:3] for problem in problems] == [problem[:3] for problem in expected]
        for problem, wanted in zip(problems, expected, strict=True):
            assert str(wanted[3]) in problem[3]
    else:
        assert (len(problems), answer["stopped"]) == (100, True)
    assert isinstance(answer["seconds"], float)
    assert answer["seconds"] < SECONDS, "of the processor's time: a busy machine is no fault of the file"


prices = st.integers(0, MAX_PRICE * 10**6).map(lambda micro: f"{micro // 10**6}.{micro % 10**6:06}")
increments = st.integers(1, 3600).map(str)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(str.isprintable)
_NASTY = ["=1+1", "+33 x", "-cmd", "@x", "'q", 'a"b', "a;b,c|d", "FREE"]
rows = st.fixed_dictionaries(
    {
        "destination": st.one_of(names, st.sampled_from(_NASTY)),
        "rate_per_minute": prices, "connection_fee": prices, "per_call": prices, "minimum": prices,
        "first_increment": increments, "next_increment": increments, "grace": st.integers(0, 60).map(str),
        "steps": st.sampled_from(["", "60:0.01/1", "60:0.01/1;3600:0.05/60"]), "band": st.sampled_from(["", "night"]),
        "valid_from": st.sampled_from(["", "2026-01-01T00:00:00+00:00", "2030-06-01T12:30:00+00:00"]),
    }
)  # fmt: skip


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.dictionaries(st.from_regex(r"\A(?:[1-9][0-9]{0,14}|FR[0-9]{2,4})\Z"), rows, min_size=1, max_size=6))
def test_what_is_exported_is_imported_as_it_was_and_no_cell_of_it_is_run(
    tmp_path_factory: pytest.TempPathFactory, deck: dict[str, dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("decks")
    text = io.StringIO()
    columns = [name for name in COLUMNS if name in {"prefix", *next(iter(deck.values()))}]
    text.write("\t".join(columns) + "\n")
    for prefix, row in deck.items():
        cells = (({"prefix": prefix} | row)[name] for name in columns)
        text.write("\t".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells) + "\n")
    first = import_csv(io.BytesIO(text.getvalue().encode()), folder, "first")
    assert first.errors == ()
    assert first.file is not None
    with Deck.open(first.file) as opened:
        rates, exported = opened.rows(limit=200), deckfile.csv_text(opened)
    again = import_csv(io.BytesIO(exported.encode()), folder, "again")
    assert again.errors == ()
    assert again.file is not None
    with Deck.open(again.file) as opened:
        assert opened.rows(limit=200) == rates
        assert deckfile.csv_text(opened) == exported
    for line in csv.reader(io.StringIO(exported)):
        assert not any(cell.startswith(("=", "@", "\t", "\r", "+", "-")) and not cell[1:].isdigit() for cell in line)


@settings(max_examples=200, suppress_health_check=_CALM, deadline=None)
@given(
    st.sampled_from(
        [b"", HEAD, b"Indicatif;Destination;Prix (ct/s)\n", b"\xff\xfe", "prefix\tpays\ttarif\n".encode("utf-16")]
    ),
    st.one_of(st.binary(max_size=200), st.text('0123456789,;|\t"=+-./ \n€c', max_size=120).map(str.encode)),
)
@example(b"", b'"\n"\n"')
@example(b"\xef\xbb\xbf", b"\r\r\r")
def test_any_bytes_are_a_deck_or_errors(tmp_path_factory: pytest.TempPathFactory, head: bytes, data: bytes) -> None:
    report = import_csv(io.BytesIO(head + data), tmp_path_factory.mktemp("decks"), "any")
    assert report.ok == (report.file is not None)
    assert all("\n" not in line for line in report.lines())
