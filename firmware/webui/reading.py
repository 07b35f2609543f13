"""Rate files being read: each in a child, watched by a thread, so that no request waits for a million lines."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from firmware.service import ServiceError
from firmware.webui import deck_child
from firmware.webui.uploads import Upload, Uploads

_lock = threading.Lock()
_under_way: dict[str, threading.Thread] = {}
_children: dict[str, subprocess.Popen[bytes]] = {}


def begin(uploads: Uploads, upload: Upload, order: Callable[[], deck_child.Order]) -> None:
    """Read an upload in the background, unless that is done or under way. Raises what `order` raises."""
    with _lock:
        if upload.token in _under_way or uploads.report(upload) is not None:
            return
        told = order()
        thread = threading.Thread(target=_read, args=(uploads, upload, told), name="rate file", daemon=True)
        _under_way[upload.token] = thread
        thread.start()


def over(upload: Upload, seconds: float) -> bool:
    """Wait so long at most; whether the reading is over."""
    thread = _under_way.get(upload.token)
    if thread is not None:
        thread.join(seconds)
    return upload.token not in _under_way


def stop(token: str) -> None:
    """Nobody wants to know any more: the child is ended."""
    with _lock:
        child = _children.get(token)
        if child is not None:
            child.kill()


def percent(upload: Upload) -> int:
    """How far it is read, 0 to 99."""
    try:
        return min(99, max(0, int(upload.progress.read_text(encoding="ascii"))))
    except (OSError, ValueError):
        return 0


def watch(upload: Upload, seconds: float = 0.5) -> Iterator[int]:
    """How far it is, as often, until it is over: then 100, once."""
    while not over(upload, seconds):
        yield percent(upload)
    yield 100


def _read(uploads: Uploads, upload: Upload, order: deck_child.Order) -> None:
    def started(child: subprocess.Popen[bytes]) -> None:
        with _lock:
            _children[upload.token] = child
            if not upload.path.is_file():  # forgotten while another was read
                child.kill()

    try:
        found: deck_child.Report | dict[str, str] = deck_child.run(order, started)
    except ServiceError as error:
        found = {"failed": error.message}
    except OSError as error:
        found = {"failed": f"{upload.wish.source}: it could not be read ({error.strerror}); nothing was changed"}
    try:
        with suppress(OSError):
            uploads.note(upload, found)
    finally:
        with _lock:
            _under_way.pop(upload.token, None)
            _children.pop(upload.token, None)
