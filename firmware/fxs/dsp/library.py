"""Opening a native library by cffi in ABI mode: no compiler, a clear error where it is missing.

Sample buffers are declared `char *` in the bindings beside this file: cffi then passes `bytes`
as they lie, without a copy. Every foreign call releases the interpreter lock.
"""

from __future__ import annotations

from typing import Any

from cffi import FFI


class MissingLibraryError(OSError):
    """A shared library that the firmware needs is not installed; the message says which package has it."""


def open_library(ffi: FFI, sonames: tuple[str, ...], package: str) -> tuple[Any, str]:
    """The first of `sonames` that the loader finds, and its name.

    Raises MissingLibraryError, naming the Debian `package`, when none is installed.
    """
    problems = []
    for soname in sonames:
        try:
            return ffi.dlopen(soname), soname
        except OSError as error:
            problems.append(str(error))
    msg = f"{sonames[0]} cannot be loaded ({'; '.join(problems)}): install it (Debian: apt-get install {package})"
    raise MissingLibraryError(msg)
