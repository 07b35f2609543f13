"""The line's sound card through ALSA, both ways: 8 kHz, 16 bit, mono, 10 ms. The only alsaaudio import.

The voice thread opens the card, in `read`, so that neither a slow card nor a missing one holds the
control loop up; one that is gone is tried again until it is back. Nothing is logged while sound flows.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
import time
from typing import Any

import alsaaudio

from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, PcmStats

_log = logging.getLogger(__name__)
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_STALL_SECONDS = 3.0
_STOP_WAIT_SECONDS = 0.05
_RESTLESS_SECONDS = 0.002
# A reader away for longer finds old sound in a card with a large buffer: dropped, or it would lag for good.
_AWAY_SECONDS = 0.1
_OVERRUN = -errno.EPIPE


class _Card:
    """Both directions, open. Raises OSError with a person's words if they cannot be."""

    def __init__(self, capture: str, playback: str, periods: int) -> None:
        self.capture = _open(alsaaudio.PCM_CAPTURE, "capture", capture, periods)
        try:
            self.playback = _open(alsaaudio.PCM_PLAYBACK, "playback", playback, periods)
        except OSError:
            self.capture.close()
            raise
        self.descriptors: list[tuple[int, int]] = self.capture.polldescriptors()

    def close(self) -> None:
        """At once: what is still to be played is dropped (closing alone would wait for it)."""
        for pcm in (self.playback, self.capture):
            try:
                pcm.drop()
            except alsaaudio.ALSAAudioError:
                _log.debug("a card that is gone has nothing to drop")
            pcm.close()


def _open(kind: int, word: str, device: str, periods: int) -> Any:
    try:
        pcm = alsaaudio.PCM(
            kind,
            alsaaudio.PCM_NONBLOCK,
            device=device,
            rate=SAMPLE_RATE_HZ,
            channels=1,
            format=alsaaudio.PCM_FORMAT_S16_LE,
            periodsize=FRAME_SAMPLES,
            periods=periods,
        )
    except alsaaudio.ALSAAudioError as error:
        cards = ", ".join(alsaaudio.cards()) or "none"
        raise OSError(
            f"the sound card for {word} cannot be opened: {error}. Cards here: {cards}; `aplay -L` lists the names, "
            f"`allobox config set line.alsa.{word} NAME` sets one"
        ) from error
    got = pcm.info()
    if (got["rate"], got["channels"]) != (SAMPLE_RATE_HZ, 1):
        pcm.close()
        raise OSError(
            f"the sound card for {word}, {device}, gives {got['rate']} Hz and {got['channels']} channels and cannot do "
            f"{SAMPLE_RATE_HZ} Hz mono: let ALSA convert, as in line.alsa.{word} = plug{device}"
        )
    return pcm


class AlsaPcm:
    """One line's sound card; implements `firmware.fxs.pcm.LinePcm`.

    `capture` and `playback` are ALSA's names ("line", "plughw:CARD=wm8960soundcard"), `periods` the
    playback buffer in frames of 10 ms, kept full but for one. `fault` says why there is no sound.
    """

    def __init__(self, capture: str, playback: str, periods: int) -> None:
        self.stats = PcmStats()
        self.fault: str | None = None
        self._names = (capture, playback)
        self._periods = periods
        # Held by the voice thread whenever it is at the card; `stop` wakes it first.
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._running = False
        self._session = 0
        self._card: _Card | None = None
        self._card_session = 0
        self._was_open = False
        self._poll = select.poll()
        self._partial = bytearray()
        self._failures = 0
        self._next_try = 0.0
        self._heard_at = 0.0
        self._read_at = 0.0

    @property
    def delay_frames(self) -> int:
        """How many frames late a written one is heard: the silence ahead of it (for the echo canceller)."""
        return self._periods - 1

    def start(self) -> None:
        """Let frames flow; the next `read` opens the card. A card that is not there is no error: see `fault`."""
        if not self._running:
            self.stats = PcmStats()
            self._session += 1
            self._running = True

    def stop(self) -> None:
        """Frames stop; wakes a `read` under way, and closes the card."""
        if not self._running:
            return
        self._running = False
        os.eventfd_write(self._wake, 1)
        # A read that is just opening a slow card closes it itself.
        if self._lock.acquire(timeout=_STOP_WAIT_SECONDS):
            try:
                self._close_unwanted()
            finally:
                self._lock.release()

    def read(self, timeout: float) -> bytes | None:
        """The next frame, or None after `timeout` seconds, at `stop`, or while the card is gone."""
        deadline = time.monotonic() + timeout
        with self._lock:
            try:
                while self._running:
                    card = self._opened(deadline)
                    frame = None if card is None else self._frame(card, deadline)
                    if frame is not None or time.monotonic() >= deadline:
                        return frame
                return None
            finally:
                self._close_unwanted()

    def write(self, frame: bytes) -> None:
        """One frame to the telephone; what the card does not take at once is lost, and counted."""
        with self._lock:
            card = self._card
            if card is None or not self._running:
                return
            try:
                taken = card.playback.write(frame)
                if taken < 0:
                    self.stats.xruns += 1
                    taken = card.playback.write(SILENCE * (self._periods - 1) + frame) - FRAME_SAMPLES * (
                        self._periods - 1
                    )
            except alsaaudio.ALSAAudioError as error:
                self._lose(f"the sound card is gone: {error}")
                return
            if taken == FRAME_SAMPLES:
                self.stats.frames_written += 1
            else:
                self.stats.xruns += 1

    # --- the voice thread, with the lock held ---------------------------------------------

    def _opened(self, deadline: float) -> _Card | None:
        """The card, opened if it is time to; None once `deadline` or `stop` has come first."""
        if self._card is not None and self._card_session == self._session:
            return self._card
        self._close()
        if self._card_session != self._session:
            self._was_open, self._failures, self._next_try = False, 0, 0.0
        self._card_session = self._session
        wait = self._next_try - time.monotonic()
        if wait > 0:
            self._sleep(min(wait, deadline - time.monotonic()))
            return None
        try:
            card = _Card(*self._names, self._periods)
        except OSError as error:
            self._lose(str(error))
            return None
        try:
            # Reading starts the capture; silence ahead is what the telephone hears while frames are made.
            card.capture.read()
            card.playback.write(SILENCE * (self._periods - 1))
        except alsaaudio.ALSAAudioError as error:
            card.close()
            self._lose(f"the sound card opened and failed: {error}")
            return None
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        for descriptor, events in card.descriptors:
            self._poll.register(descriptor, events)
        self._partial.clear()
        self._card = card
        self._heard_at = self._read_at = time.monotonic()
        if self._was_open:
            self.stats.reopened += 1
        self._was_open = True
        return card

    def _frame(self, card: _Card, deadline: float) -> bytes | None:
        """The next frame from an open card, or None: too late, stopped, or gone."""
        if time.monotonic() - self._read_at > _AWAY_SECONDS:
            self._drop_backlog(card)
        while self._running:
            if len(self._partial) >= FRAME_BYTES:
                frame = bytes(self._partial[:FRAME_BYTES])
                del self._partial[:FRAME_BYTES]
                self.stats.frames_read += 1
                self._read_at = time.monotonic()
                return frame
            try:
                count, samples = card.capture.read()
                if count == _OVERRUN:
                    self.stats.xruns += 1
                    self._partial.clear()
                    continue
            except alsaaudio.ALSAAudioError as error:
                self._lose(f"the sound card is gone: {error}")
                return None
            now = time.monotonic()
            if count > 0:
                self._partial += samples
                self._heard(now)
            elif now - self._heard_at > _STALL_SECONDS:
                self._lose(f"the sound card gave no samples for {_STALL_SECONDS:.0f} s")
                return None
            elif now >= deadline:
                return None
            else:
                self._attend(card, deadline - now)
        return None

    def _drop_backlog(self, card: _Card) -> None:
        """Forget what the card gathered while nobody read, but for the newest frame."""
        self._read_at = time.monotonic()
        dropped = False
        with contextlib.suppress(alsaaudio.ALSAAudioError):  # the next read says what is wrong
            while card.capture.avail() > FRAME_SAMPLES and card.capture.read()[0] > 0:
                dropped = True
        if dropped:
            self._partial.clear()
            self.stats.xruns += 1

    def _heard(self, now: float) -> None:
        self._heard_at = now
        self._failures = 0
        if self.fault is not None:
            self.fault = None
            _log.info("the sound card is there")

    def _attend(self, card: _Card, seconds: float) -> None:
        """Sleep until the card or `stop` has news, at most `seconds`."""
        # poll() takes whole milliseconds and truncates: rounding up never spins.
        ready = dict(self._poll.poll(int(seconds * 1000) + 1))
        if ready.pop(self._wake, 0):
            self._quiet_wake()
        if ready:
            # A plugin (pulse) answers for its descriptors; one that is always "ready" must not spin.
            try:
                all_of_them = [(descriptor, ready.get(descriptor, 0)) for descriptor, _ in card.descriptors]
                if not card.capture.polldescriptors_revents(all_of_them) & select.POLLIN:
                    self._sleep(_RESTLESS_SECONDS)
            except alsaaudio.ALSAAudioError:
                self._sleep(_RESTLESS_SECONDS)  # the next read says what is wrong

    def _sleep(self, seconds: float) -> None:
        """Sleep, but for `stop`."""
        only_stop = select.poll()
        only_stop.register(self._wake, select.POLLIN)
        if seconds > 0 and only_stop.poll(int(seconds * 1000) + 1):
            self._quiet_wake()

    def _quiet_wake(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _lose(self, why: str) -> None:
        """The card is gone or will not open: say so once, and try again later."""
        if self.fault is None:
            _log.error("%s", why)
        self.fault = why
        self._close()
        wait = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
        self._failures += 1
        self._next_try = time.monotonic() + wait

    def _close_unwanted(self) -> None:
        if not self._running:
            self._close()

    def _close(self) -> None:
        card, self._card = self._card, None
        if card is not None:
            card.close()

    def __del__(self) -> None:
        os.close(self._wake)
