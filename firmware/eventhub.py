"""The live event stream: published on the control loop, read by each listener at its own pace.

A listener that does not read loses its oldest events, never the core's memory. The latest state
of each line and account is small, so a late listener asks `status` and misses nothing that counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from firmware.service import BoxEvent

QUEUE_LENGTH = 256


class EventHub:
    """Publish and subscribe, within one asyncio loop."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[BoxEvent], tuple[str, str]] = {}

    def publish(self, kind: str, data: Mapping[str, object]) -> None:
        """Give every listener this event. From the loop only; never waits."""
        event: BoxEvent = {"kind": kind, "data": dict(data)}
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def subscribe(self, role: str, detail: str) -> asyncio.Queue[BoxEvent]:
        """Open a listener's queue; `role` page or mail shows that process as up."""
        queue: asyncio.Queue[BoxEvent] = asyncio.Queue(QUEUE_LENGTH)
        self._queues[queue] = (role, detail)
        self.publish("process", {"role": role, "state": "up"})
        return queue

    def unsubscribe(self, queue: asyncio.Queue[BoxEvent]) -> None:
        """Close a listener's queue. Idempotent."""
        gone = self._queues.pop(queue, None)
        if gone is not None:
            self.publish("process", {"role": gone[0], "state": self.listening(gone[0])[0]})

    def listening(self, role: str) -> tuple[str, str]:
        """("up", detail) while a listener of that role is there, else ("down", "")."""
        for found, detail in list(self._queues.values()):
            if found == role:
                return "up", detail
        return "down", ""
