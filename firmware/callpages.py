"""Call records of a span of time, asked of the box in pages: never more than MAX_ROWS a reply."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from firmware.service import MAX_ROWS, BoxService, CallQuery, CallRow


def pages(box: BoxService, since: datetime, until: datetime, after: int | None = None) -> Iterator[list[CallRow]]:
    """Records that began in `since` <= t < `until`, oldest first, beyond the id `after`. Raises ServiceError.

    The box is asked for a page when it is wanted, and not before: whoever reads slowly asks slowly.
    """
    while True:
        query: CallQuery = {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "oldest_first": True,
            "limit": MAX_ROWS,
        }
        if after is not None:
            query["after"] = after
        rows = box.calls(query)
        if rows:
            yield rows
            after = rows[-1]["id"]
        if len(rows) < MAX_ROWS:
            return
