"""Where the box keeps its data when nobody says otherwise. Only that: nothing here opens a file."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ALLOBOX_DATA"
_SYSTEM = Path("/var/lib/allobox")
_ABOVE_PACKAGE = Path(__file__).resolve().parent.parent


def default_data() -> Path:
    """The data directory: `$ALLOBOX_DATA`, else `.data` of a source checkout, else /var/lib/allobox.

    A checkout is told by the pyproject.toml beside the package: an installed package has none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    if (_ABOVE_PACKAGE / "pyproject.toml").is_file():
        return _ABOVE_PACKAGE / ".data"
    return _SYSTEM
