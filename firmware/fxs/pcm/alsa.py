"""The line's sound card through ALSA, both ways: 8 kHz (16 on a wide line), 16 bit, mono, 10 ms.

The voice thread opens no card: a thread of its own does (`alsa_wait.Opening`), so that neither a slow card nor
a missing one holds anybody up. One that is gone is tried again until it is back; until then the line is silent
and a timer keeps its clock, so that a call goes on. Nothing is logged while sound flows.

Capture and playback may be different cards, each with a crystal of its own: what is played is then resampled,
by the level of the playing card's buffer (`alsa_playout.PlayoutRate`).
"""

from __future__ import annotations

import errno
import logging
import select
import threading
from collections.abc import Callable

from firmware.fxs.dsp.speexdsp import Resampler
from firmware.fxs.pcm import FRAME_MS, SAMPLE_RATE_HZ, PcmStats, frame_bytes
from firmware.fxs.pcm.alsa_card import Card, CardError, one_clock
from firmware.fxs.pcm.alsa_playout import MOST_PERIODS, Depth, PlayoutRate, Surplus
from firmware.fxs.pcm.alsa_wait import Opening, Waker

_log = logging.getLogger(__name__)
_FRAME_SECONDS = FRAME_MS / 1000
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
# A card that gave sound and stops is gone, though its driver does not say so; one just opened may take its time.
_STALL_SECONDS = 1.0
_FIRST_SECONDS = 4.0
_OPEN_SECONDS = 1.5
_STOP_WAIT_SECONDS = 0.05
_RESTLESS_SECONDS = 0.002
# A reader away for longer finds old sound in a card with a large buffer: dropped, or it would lag for good.
_AWAY_SECONDS = 0.1
_READABLE = select.POLLIN
_XRUN = -errno.EPIPE
_MOST_BACKLOG = 1000
_MORE_OUT = 8


class AlsaPcm:
    """One line's sound card; implements `firmware.fxs.pcm.LinePcm`.

    `capture` and `playback` are ALSA's names ("line", "plughw:CARD=wm8960soundcard"), `periods` how many frames
    of 10 ms the playback is ahead of the line, with the one that it plays (0: as few as hold, see `Depth`).
    `fault` says why there is no sound. `waker` and `opening` are the thread's clock and its helper.
    """

    def __init__(
        self,
        capture: str,
        playback: str,
        periods: int = 0,
        *,
        rate_hz: int = SAMPLE_RATE_HZ,
        waker: Waker | None = None,
        opening: Callable[[Callable[[], Card], Callable[[], None]], Opening[Card]] = Opening,
    ) -> None:
        self.stats = PcmStats()
        self.fault: str | None = None
        self._names = (capture, playback)
        self._rate_hz = rate_hz
        self._wider = rate_hz // SAMPLE_RATE_HZ  # how many samples are one of 8 kHz, in which depths are counted
        self._frame_bytes = frame_bytes(rate_hz)
        self._frame_samples = self._frame_bytes // 2
        self._silence = bytes(self._frame_bytes)
        self._depth = Depth(periods)
        self._surplus = Surplus()
        self._rate = None if one_clock(capture, playback) else PlayoutRate()
        self._resampler = Resampler() if self._rate is not None else None
        self._held = b""
        # Held by the voice thread whenever it is at the card; `stop` wakes it first.
        self._lock = threading.Lock()
        self._waker = waker if waker is not None else Waker()
        self._begin_opening = opening
        self._opening: Opening[Card] | None = None
        self._opening_since = 0.0
        self._running = False
        self._session = 0
        self._card: Card | None = None
        self._card_session = 0
        self._was_open = False
        self._partial = bytearray()
        self._failures = 0
        self._next_try = 0.0
        self._tick_at = 0.0
        self._heard_at = 0.0
        self._sounds = False
        self._asked_at = 0.0

    @property
    def delay_frames(self) -> int:
        """How many frames late a written one is heard: what lies ahead of it (for the echo canceller)."""
        return self._depth.periods - 2

    @property
    def ppm(self) -> float | None:
        """How much slower the playing card runs than the capturing one; None: they are one card."""
        return None if self._rate is None else self._rate.ppm

    def start(self) -> None:
        """Let frames flow; the next `read` has the card opened. A card that is not there is no error: see `fault`."""
        if not self._running:
            self.stats = PcmStats()
            self._session += 1
            self._running = True

    def stop(self) -> None:
        """Frames stop; wakes a `read` under way, and closes the card."""
        if not self._running:
            return
        self._running = False
        self._waker.wake()
        # A read that is just at the card closes it itself.
        if self._lock.acquire(timeout=_STOP_WAIT_SECONDS):
            try:
                self._close_unwanted()
            finally:
                self._lock.release()

    def read(self, timeout: float) -> bytes | None:
        """The next frame, or None after `timeout` seconds or at `stop`. While the card is gone: silence, by a timer."""
        with self._lock:
            now = self._waker.now()
            deadline = now + timeout
            away = self._card is not None and now - self._asked_at > _AWAY_SECONDS
            try:
                while self._running:
                    frame = self._next(deadline, away=away)
                    if frame is not None or self._waker.now() >= deadline:
                        return frame
                    away = False
                return None
            finally:
                self._asked_at = self._waker.now()
                self._close_unwanted()

    def write(self, frame: bytes) -> None:
        """One frame to the telephone; what the card does not take at once is lost, and counted."""
        with self._lock:
            card = self._card
            if card is None or not self._running or not self._sounds:
                return  # what answers the timer's silence would lie ahead of the card's own frames for good
            try:
                self._play(card, frame)
            except CardError as error:
                self._lose(f"the sound card is gone: {error}")

    # --- the voice thread, with the lock held ---------------------------------------------

    def _next(self, deadline: float, *, away: bool) -> bytes | None:
        """A frame of the card, or of the timer while the card is gone, or None: later."""
        card = self._opened()
        silent = self.fault is not None
        until = min(deadline, self._tick_at) if silent else deadline
        if card is not None:
            if away:
                self._drop_backlog(card)
            frame = self._frame(card, until)
            if frame is not None:
                return frame
        elif self._waker.now() < until:
            # A try under way ends this rest by itself.
            self._waker.rest((until if self._opening is not None else min(until, self._next_try)) - self._waker.now())
        now = self._waker.now()
        if not silent or now < self._tick_at or not self._running:
            return None
        # A process that stood still does not catch up: that would be a burst of nothing.
        self._tick_at = now if now - self._tick_at > _AWAY_SECONDS else self._tick_at
        self._tick_at += _FRAME_SECONDS
        self.stats.silent += 1
        return self._silence

    def _opened(self) -> Card | None:
        """The card if it is open; begins and ends the tries at opening it."""
        if self._card_session != self._session:
            self._close()
            self._card_session = self._session
            self._was_open, self._failures, self._next_try = False, 0, 0.0
        if self._card is not None:
            return self._card
        now = self._waker.now()
        if self._opening is None:
            if now < self._next_try:
                return None
            names, periods, rate = self._names, max(MOST_PERIODS, self._depth.periods), self._rate_hz
            self._opening_since = now
            self._opening = self._begin_opening(lambda: Card(*names, periods, rate), self._waker.wake)
        result = self._opening.result()
        if result is None:
            if now - self._opening_since > _OPEN_SECONDS:
                self._tell_fault("the sound card does not open: its driver or sound server does not answer")
            return None
        self._opening = None
        if isinstance(result, OSError):
            self._lose(str(result))
            return None
        return self._begin(result)

    def _begin(self, card: Card) -> Card | None:
        now = self._waker.now()
        self._depth.opened(now, card.buffer_samples // self._wider)
        self._card = card
        try:
            # Reading starts the capture; silence ahead is what the telephone hears while frames are made.
            card.capture.read()
            card.playback.write(self._silence * (self._depth.periods - 1))
        except CardError as error:
            self._lose(f"the sound card opened and failed: {error}")
            return None
        self._surplus.opened()
        self._playing_anew()
        self._waker.watch(card.descriptors)
        self._partial.clear()
        self._sounds = False
        self._heard_at = now
        if self._was_open:
            self.stats.reopened += 1
        self._was_open = True
        return card

    def _frame(self, card: Card, until: float) -> bytes | None:
        """The next frame from an open card, or None: too late, stopped, or gone."""
        woken = False
        while self._running:
            if len(self._partial) >= self._frame_bytes:
                frame = bytes(self._partial[: self._frame_bytes])
                del self._partial[: self._frame_bytes]
                self.stats.frames_read += 1
                self._tick_at = self._waker.now() + _FRAME_SECONDS
                return frame
            try:
                count = self._take(card)
            except CardError as error:
                self._lose(f"the sound card is gone: {error}")
                return None
            now = self._waker.now()
            if count > 0:
                self._heard(now)
            elif now - self._heard_at > (limit := _STALL_SECONDS if self._sounds else _FIRST_SECONDS):
                self._lose(f"the sound card gave no samples for {limit:.0f} s")
                return None
            elif now >= until:
                return None
            elif woken:  # by less than a frame: its periods are shorter than ours
                self._waker.rest(min(_RESTLESS_SECONDS, until - now))
                woken = False
            else:
                woken = self._attend(card, until - now)
        return None

    def _take(self, card: Card) -> int:
        """Read what is there, if it completes a frame; how many samples came.

        A few samples taken early would put off the card's next wake-up by as much, frame after frame.
        """
        if 0 <= card.capture.avail() < self._frame_samples - len(self._partial) // 2:
            return 0
        count, samples = card.capture.read()
        if count == _XRUN:
            self.stats.xruns += 1
            self._partial.clear()
            count, samples = card.capture.read()  # starts it again
        self._partial += samples
        return int(count)

    def _drop_backlog(self, card: Card) -> None:
        """Forget what the card gathered while nobody read, but for the newest frame."""
        self._heard_at = self._waker.now()
        dropped = False
        try:
            for _ in range(_MOST_BACKLOG):  # a device without a clock always has more
                if card.capture.avail() <= self._frame_samples or card.capture.read()[0] <= 0:
                    break
                dropped = True
        except CardError:
            return  # the next read says what is wrong
        if dropped:
            self._partial.clear()
            self.stats.xruns += 1

    def _heard(self, now: float) -> None:
        self._heard_at = now
        self._sounds = True
        self._failures = 0
        if self.fault is not None:
            self.fault = None
            _log.info("the sound card is there")

    def _play(self, card: Card, frame: bytes) -> None:
        room = card.playback.avail()
        # Where the buffer ran dry that is an error, which the writing below meets again and mends.
        filled = card.buffer_samples - room if room >= 0 else (self._depth.periods - 2) * self._frame_samples
        if self._too_full(filled):
            self.stats.xruns += 1
            return
        sound = frame if self._rate is None else self._retimed(self._rate, frame, filled)
        taken = card.playback.write(sound)
        if taken < 0:
            self._refill(card, sound)
        elif taken == len(sound) // 2:
            self.stats.frames_written += 1
        else:
            self.stats.xruns += 1

    def _too_full(self, filled: int) -> bool:
        if self._rate is not None:
            return filled > self._depth.periods * self._frame_samples
        return self._surplus.late(filled // self._wider, self._depth.periods)

    def _refill(self, card: Card, sound: bytes) -> None:
        """The playback ran dry: silence ahead again, more of it if that happens again and again."""
        self.stats.xruns += 1
        self._depth.xrun(self._waker.now())
        ahead = self._silence * (self._depth.periods - 2) + sound
        if card.playback.write(ahead) == len(ahead) // 2:
            self.stats.frames_written += 1
        self._playing_anew()

    def _playing_anew(self) -> None:
        self._surplus.refilled()
        if self._rate is not None:
            self._rate.begin()
            self._held = b""

    def _retimed(self, rate: PlayoutRate, frame: bytes, filled: int) -> bytes:
        """The frame at the playing card's pace: as many samples, now and then one more or less."""
        assert self._resampler is not None  # noqa: S101 - made with the rate
        pending = self._held + frame
        steps = rate.next(filled // self._wider, self._depth.periods)
        sound, used = self._resampler.frame(pending, steps, self._frame_samples + _MORE_OUT)
        self._held = pending[2 * used :]
        return sound

    def _attend(self, card: Card, seconds: float) -> bool:
        """Sleep until the card or `stop` has news, at most `seconds`; whether the card has."""
        ready = self._waker.wait(seconds)
        if not ready:
            return False
        # A plugin (pulse) answers for its descriptors; one that is always "ready" must not spin.
        try:
            all_of_them = [(descriptor, ready.get(descriptor, 0)) for descriptor, _ in card.descriptors]
            return bool(card.capture.polldescriptors_revents(all_of_them) & _READABLE) or self._restless()
        except CardError:
            return self._restless()  # the next read says what is wrong

    def _restless(self) -> bool:
        self._waker.rest(_RESTLESS_SECONDS)
        return False

    def _tell_fault(self, why: str) -> None:
        """Say once what is wrong; from now on the timer paces."""
        if self.fault is None:
            _log.error("%s", why)
            self._tick_at = max(self._tick_at, self._waker.now())
        self.fault = why

    def _lose(self, why: str) -> None:
        """The card is gone or will not open: try again later."""
        self._tell_fault(why)
        self._close()
        self._next_try = self._waker.now() + _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
        self._failures += 1

    def _close_unwanted(self) -> None:
        if not self._running:
            self._close()

    def _close(self) -> None:
        card, self._card = self._card, None
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.abandon()
        if card is not None:
            self._waker.watch(())
            card.close()
