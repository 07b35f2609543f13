"""A CSV file as numbered lines of cells, in bounded memory whatever the file holds.

Knows nothing of prices. A cell with line breaks inside is refused rather than joined: rate decks
have none, and a quote that is never closed must not swallow the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

MAX_BYTES = 256 * 1024 * 1024
MAX_LINE = 4096
MAX_CELLS = 64
DELIMITERS = (";", "\t", ",", "|")

_TOO_LARGE = f"the file is larger than {MAX_BYTES // 1024 // 1024} MB"
_PIECE = 65536
_HEAD = 512
_FEW, _MANY = 5, 75  # percent
_UTF8_BOM = b"\xef\xbb\xbf"
_FOREIGN = (
    (b"PK\x03\x04", "an Excel or LibreOffice workbook (or a zip); save it as CSV first"),
    (b"PK\x05\x06", "an empty zip; save the price list as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV first"),
    (b"\xff\xfe\x00\x00", "UTF-32 text; save it as 'CSV UTF-8'"),
    (b"\x00\x00\xfe\xff", "UTF-32 text; save it as 'CSV UTF-8'"),
    (b"\x1f\x8b", "compressed (gzip); unpack it first"),
    (b"BZh", "compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ\x00", "compressed (xz); unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd); unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"{\\rtf", "a text document (RTF); ask the provider for the CSV"),
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


class _FromUtf16(io.RawIOBase):
    """UTF-16 (Excel's "Unicode text") as UTF-8, a piece at a time; lone halves become replacement characters."""

    def __init__(self, stream: BinaryIO, encoding: str, begun: bytes) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = self._recode(begun)
        self._over = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """As RawIOBase."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready and not self._over:
            raw = self._stream.read(_PIECE)
            self._over = not raw
            self._ready = self._recode(raw)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _recode(self, raw: bytes) -> bytes:
        return self._decoder.decode(raw, final=not raw).encode("utf-8", errors="replace")


def _open(stream: BinaryIO) -> _Lines:
    """The stream from its start, as UTF-8 if it is UTF-16 by its byte-order mark or its every other byte."""
    begun = stream.read(_HEAD)
    encoding = ""
    if begun.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not begun.startswith(codecs.BOM_UTF32_LE):
        encoding = "utf-16-le" if begun.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    elif len(begun) >= 8:  # noqa: PLR2004 - four letters
        # Latin text has a zero in nearly every other byte, and in no byte between.
        even, odd = (begun[at::2].count(0) * 100 // len(begun[at::2]) for at in (0, 1))
        encoding = "utf-16-le" if even < _FEW <= _MANY < odd else "utf-16-be" if odd < _FEW <= _MANY < even else ""
    if encoding:
        return io.BufferedReader(_FromUtf16(stream, encoding, begun), _PIECE)
    return _Again(begun, stream)


class _Lines(Protocol):
    """What is asked of a stream."""

    def readline(self, limit: int, /) -> bytes: ...


class _Again:
    """A stream whose first bytes were looked at."""

    def __init__(self, begun: bytes, stream: BinaryIO) -> None:
        self._begun: io.BytesIO | None = io.BytesIO(begun)
        self._stream = stream

    def readline(self, limit: int, /) -> bytes:
        """The next line, or `limit` bytes of it."""
        if self._begun is None:
            return self._stream.readline(limit)
        raw = self._begun.readline(limit)
        if raw.endswith(b"\n") or len(raw) == limit:
            return raw
        self._begun = None
        return raw + self._stream.readline(limit - len(raw))


def read_lines(source: BinaryIO) -> Iterator[Line | LineError]:
    """Every line that is not blank.

    UTF-8 with or without BOM, or UTF-16; a line that is not is read as Windows-1252. A file that says
    how long it is and is too long (in bytes, UTF-16 or not) is refused unread; a stream that cannot say, once it has
    gone on so long.
    """
    if length(source) > MAX_BYTES:
        yield LineError(0, "file-too-large", _TOO_LARGE, fatal=True)
        return
    number, total = 0, 0
    stream = _open(source)
    while True:
        raw = stream.readline(MAX_LINE + 2)
        if not raw:
            return
        number += 1
        total += len(raw)
        overlong = not raw.endswith(b"\n") and len(raw) > MAX_LINE
        if number == 1:
            raw = raw.removeprefix(_UTF8_BOM)
            foreign = next((what for magic, what in _FOREIGN if raw.startswith(magic)), None)
            if foreign:
                yield LineError(1, "not-csv", f"this file is {foreign}", fatal=True)
                return
        while overlong and total <= MAX_BYTES:
            rest = stream.readline(65536)
            total += len(rest)
            if not rest or rest.endswith(b"\n"):
                break
        if total > MAX_BYTES:
            yield LineError(number, "file-too-large", _TOO_LARGE, fatal=True)
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


def length(stream: BinaryIO) -> int:
    """Bytes from here on; 0 where nobody can say, as of a pipe."""
    try:
        here = stream.tell()
        end = stream.seek(0, io.SEEK_END)
        stream.seek(here)
    except (OSError, ValueError):
        return 0
    return end - here


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


def sniff(text: str) -> str:
    """The delimiter that makes most columns of a line."""
    return max(DELIMITERS, key=text.count)
