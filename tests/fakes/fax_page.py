"""Pages for fax machines: TIFF files (ITU-T T.6), written and read by libtiff, which libspandsp needs anyway."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

from cffi import FFI

WIDTH: Final = 1728  # points: 215 mm at 204 dpi (ITU-T T.4)
ROW_BYTES: Final = WIDTH // 8

_ffi: Final[Any] = FFI()
_ffi.cdef("""
void *TIFFOpen(const char *path, const char *mode);
int TIFFSetField(void *file, uint32_t tag, ...);
int TIFFGetField(void *file, uint32_t tag, ...);
int TIFFWriteScanline(void *file, void *row, uint32_t number, uint16_t sample);
int TIFFReadScanline(void *file, void *row, uint32_t number, uint16_t sample);
int64_t TIFFScanlineSize64(void *file);
int TIFFSetDirectory(void *file, uint32_t number);
void TIFFClose(void *file);
""")
_lib: Final[Any] = _ffi.dlopen("libtiff.so.6")

_G4, _WHITE_IS_0, _INCHES = 4, 0, 2
_WIDTH, _LENGTH = 256, 257  # tags


def drawn(rows: int, seed: int = 1) -> list[bytes]:
    """The rows of a page: bars as of writing, and every 40th row random points, which nothing can have guessed."""
    dice = random.Random(seed)  # noqa: S311 a picture, no secret
    page = []
    for number in range(rows):
        row = bytearray(ROW_BYTES)
        for at in range(0, ROW_BYTES, 12):
            if (number // 8 + at + seed) % 3 == 0:
                row[at : at + 6] = b"\xff" * 6
        page.append(dice.randbytes(ROW_BYTES) if number % 40 == 20 else bytes(row))
    return page


def write(path: Path, rows: list[bytes]) -> None:
    """A page of 204 by 98 dpi, T.6. Raises OSError."""
    file = _lib.TIFFOpen(str(path).encode(), b"w")
    if file == _ffi.NULL:
        raise OSError(f"{path} cannot be written")
    whole = {
        _WIDTH: WIDTH,
        _LENGTH: len(rows),
        258: 1,
        277: 1,
        259: _G4,
        262: _WHITE_IS_0,
        266: 1,
        284: 1,
        296: _INCHES,
    }
    try:
        for tag, value in {**whole, 278: len(rows)}.items():
            _lib.TIFFSetField(file, tag, _ffi.cast("int", value))
        for tag, dpi in ((282, 204.0), (283, 98.0)):
            _lib.TIFFSetField(file, tag, _ffi.cast("double", dpi))
        for number, row in enumerate(rows):
            if _lib.TIFFWriteScanline(file, _ffi.new("char[]", row), number, 0) != 1:
                raise OSError(f"{path}: row {number} is not written")
    finally:
        _lib.TIFFClose(file)


def read(path: Path) -> list[bytes]:
    """The rows of the first page; none where there is no page. Raises OSError for no TIFF."""
    file = _lib.TIFFOpen(str(path).encode(), b"r")
    if file == _ffi.NULL:
        raise OSError(f"{path} is no TIFF")
    try:
        count = _ffi.new("uint32_t *")
        if _lib.TIFFGetField(file, _LENGTH, count) != 1:
            return []
        row = _ffi.new("char[]", _lib.TIFFScanlineSize64(file))
        rows = []
        for number in range(count[0]):
            if _lib.TIFFReadScanline(file, row, number, 0) != 1:
                break
            rows.append(bytes(_ffi.buffer(row)))
        return rows
    finally:
        _lib.TIFFClose(file)
