"""Price lists that mean harm or are merely broken, and a process of bounded memory that reads them.

The process does nothing else, so what it takes is the reader's.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEGA = 1 << 20
HEAD = b"prefix,destination,rate_per_minute\n"
# More than the interpreter and SQLite have to themselves; far less than any of these files unpacked.
MEMORY = 160 * MEGA

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from firmware.rates.deck import import_csv
from firmware.rates.table import look
from firmware.rates.mapping import Choice
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
for name in json.loads(sys.stdin.read()):
    begun = time.monotonic()
    with open(name, "rb") as stream:
        look(stream, Choice())
    report = import_csv(Path(name), Path(sys.argv[1]), "hostile")
    print(json.dumps({
        "seconds": time.monotonic() - begun, "rows": report.rows, "stopped": report.stopped,
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
    "256 MB of nothing": (sparse(300 * MEGA), [[0, None, "file-too-large", "larger than 256 MB"]]),
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


def all_read(folder: Path) -> dict[str, dict[str, Any]]:
    """All files looked at and imported by one process, one after the other: what one leaves behind counts for the next.

    By name, `problems` as (line, column, kind, cause), `rows`, `stopped` and `seconds`. A process that
    ends otherwise than well, or takes beyond 100 s for all, raises.
    """
    paths = []
    for number, (content, _expected) in enumerate(FILES.values()):
        path = folder / f"{number}.csv"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        paths.append(path)
    command = [sys.executable, "-c", _CHILD, str(folder / "decks"), str(MEMORY)]
    given = json.dumps([str(path) for path in paths]).encode()
    done = subprocess.run(command, input=given, capture_output=True, timeout=100, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-600:])
    left = list((folder / "decks").iterdir())
    if left:
        msg = f"half-made: {left}"
        raise RuntimeError(msg)
    for path in paths:
        path.unlink()
    return dict(zip(FILES, map(json.loads, done.stdout.splitlines()), strict=True))
