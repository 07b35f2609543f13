"""A CSV file as numbered lines of cells, in bounded memory whatever the file holds.

Knows nothing of prices. A cell with line breaks inside is refused rather than joined: rate decks
have none, and a quote that is never closed must not swallow the rest of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_BYTES = 256 * 1024 * 1024
MAX_LINE = 4096
MAX_CELLS = 64
DELIMITERS = (";", "\t", ",")

_UTF8_BOM = b"\xef\xbb\xbf"
_FOREIGN = (
    (b"PK\x03\x04", "an Excel or LibreOffice workbook (or a zip); save it as CSV first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV first"),
    (b"\xff\xfe", "UTF-16 text; save it as 'CSV UTF-8'"),
    (b"\xfe\xff", "UTF-16 text; save it as 'CSV UTF-8'"),
    (b"\x1f\x8b", "compressed (gzip); unpack it first"),
    (b"%PDF", "a PDF; ask the provider for the CSV"),
    (b"SQLite format 3", "a database, not a CSV file"),
)


class LineError(Exception):
    """A line that cannot be read. `fatal`: nothing after it can be either."""

    def __init__(self, line: int, kind: str, cause: str, value: str = "", *, fatal: bool = False) -> None:
        super().__init__(cause)
        self.line = line
        self.kind = kind
        self.cause = cause
        self.value = value
        self.fatal = fatal


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the file (from 1) and its text, without the line end."""

    number: int
    text: str


def read_lines(stream: BinaryIO) -> Iterator[Line | LineError]:
    """Every line that is not blank. UTF-8 with or without BOM; a line that is not is read as Windows-1252."""
    number, total = 0, 0
    while True:
        raw = stream.readline(MAX_LINE + 2)
        if not raw:
            return
        number += 1
        total += len(raw)
        if number == 1:
            raw = raw.removeprefix(_UTF8_BOM)
            foreign = next((what for magic, what in _FOREIGN if raw.startswith(magic)), None)
            if foreign:
                yield LineError(1, "not-csv", f"this file is {foreign}", fatal=True)
                return
        overlong = not raw.endswith(b"\n") and len(raw) > MAX_LINE
        while overlong and total <= MAX_BYTES:
            rest = stream.readline(65536)
            total += len(rest)
            if not rest or rest.endswith(b"\n"):
                break
        if total > MAX_BYTES:
            cause = f"the file is larger than {MAX_BYTES // 1024 // 1024} MB"
            yield LineError(number, "file-too-large", cause, fatal=True)
            return
        if overlong:
            yield LineError(number, "line-too-long", f"the line is longer than {MAX_LINE} bytes", _start(raw))
            continue
        if b"\x00" in raw:
            yield LineError(number, "binary", "the line holds NUL bytes: this is no text file", _start(raw))
            continue
        raw = raw.rstrip(b"\r\n")
        if raw.strip(b" \t;,"):
            yield Line(number, _text(raw))


def cells(line: Line, delimiter: str) -> list[str]:
    """The cells of a line, trimmed. Raises LineError."""
    text = line.text
    if '"' not in text:
        found = text.split(delimiter)
    else:
        try:
            found = next(csv.reader((text,), delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise LineError(
                line.number, "quotes", f"a quote is opened and not closed on this line ({error})", text[:40]
            ) from error
    if len(found) > MAX_CELLS:
        cause = f"the line has {len(found)} columns; {MAX_CELLS} at most make sense"
        raise LineError(line.number, "too-many-columns", cause)
    return [cell.strip() for cell in found]


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # What Excel in France writes as "CSV"; its five undefined bytes become replacement characters.
        return raw.decode("cp1252", errors="replace")


def _start(raw: bytes) -> str:
    return raw[:40].decode("ascii", errors="backslashreplace")
