"""For every test: what shares the clock with real peers runs one at a time, also under `--numprocesses`."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_REAL_TIME = ("system",)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One queue for tests in which telephones and peers talk in real time."""
    for item in items:
        if item.path.relative_to(_HERE).parts[0] in _REAL_TIME:
            item.add_marker(pytest.mark.xdist_group("real time"))
