"""One call of the test exchange, and how it carries out the steps of its number. In the switch's thread only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pjsua2 as pj

from firmware.exchange import speakingclock, speech
from firmware.exchange.numbers import CallBack, Clock, Echo, HangUp, Milliwatt, Pause, Reply, Say, Step

log = logging.getLogger(__name__)

_CLOCK_LIMIT_SECONDS = 600
_REFUSED = 300


@dataclass(order=True, slots=True)
class Timer:
    """Something to do at `at` (monotonic seconds); nothing once `action` is None."""

    at: float
    order: int
    action: Callable[[], None] | None = field(compare=False)


class Exchange(Protocol):
    """What a call needs of the switch."""

    folder: Path

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do `action` in `seconds`, in this thread."""
        ...

    def forget(self, timer: Timer | None) -> None:
        """A timer that is not wanted any more."""
        ...

    def when_rendered(self, work: Callable[[], object], then: Callable[[Future[object]], None]) -> None:
        """Do `work` in the rendering thread, then `then` with its future in this one."""
        ...

    def ended(self, call: ExchangeCall) -> None:
        """The call is over."""
        ...

    def call_back(self, user: str, plan: CallBack) -> None:
        """Call `user` as the plan's caller."""
        ...


class ExchangeCall(pj.Call):
    """One call and the steps that are left for it."""

    def __init__(
        self,
        switch: Exchange,
        account: pj.Account,
        user: str,
        steps: tuple[Step, ...],
        call_id: int = pj.PJSUA_INVALID_ID,
    ) -> None:
        super().__init__(account, call_id)
        self._switch, self._user = switch, user
        self._steps = list(steps)
        self._waiting: Timer | None = None
        self._limit: Timer | None = None
        self._media: pj.AudioMedia | None = None
        self._player: pj.AudioMediaPlayer | None = None
        self._passing: list[Path] = []
        self._call_back: CallBack | None = None
        self._outgoing = call_id == pj.PJSUA_INVALID_ID
        self._wants_media = self._echoes = self._over = False

    # --- pjsua2's callbacks -----------------------------------------------------------------

    def onCallState(self, _prm: pj.OnCallStateParam) -> None:  # noqa: N802 - pjsua2's name
        """Called by pjsua2."""
        self.guard(self._state_changed)

    def onCallMediaState(self, _prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802 - pjsua2's name
        """Called by pjsua2."""
        self.guard(self._media_changed)

    def guard(self, action: Callable[[], None]) -> None:
        """pjsua2 swallows what its callbacks raise: log it, and end the call rather than hang it."""
        try:
            action()
        except Exception:
            log.exception("a call of the test exchange failed")
            self._steps.clear()
            self._end(500)

    def _state_changed(self) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and self._outgoing:
            self._switch.forget(self._limit)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED and not self._over:
            self._over = True
            self._switch.forget(self._waiting)
            self._switch.forget(self._limit)
            log.info("call over: %d %s", info.lastStatusCode, info.lastReason)
            plan = self._call_back
            if plan is not None:
                user = self._user
                self._switch.later(plan.seconds, lambda: self._switch.call_back(user, plan))
            self._switch.ended(self)

    def _media_changed(self) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            return
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                self._media = self.getAudioMedia(index)
        if self._media is None:
            return
        if self._wants_media:
            self._wants_media = False
            self._switch.later(0, lambda: self.guard(self.proceed))
        elif self._echoes:  # re-negotiated: the call may have another port in the bridge now
            self._media.startTransmit(self._media)
        elif self._player is not None:
            self._player.startTransmit(self._media)

    # --- steps ------------------------------------------------------------------------------

    def give_up_after(self, seconds: float) -> None:
        """End the call unless it is answered by then."""
        self._limit = self._switch.later(seconds, lambda: self.guard(lambda: self._end(0)))

    def proceed(self) -> None:
        """Carry out steps until one of them takes time."""
        self._waiting = None
        while self._steps and not self._over:
            step = self._steps[0]
            if isinstance(step, Say | Clock | Echo | Milliwatt) and self._media is None:
                self._wants_media = True
                return  # goes on when media is there
            self._steps.pop(0)
            if self._takes_time(step):
                return

    def _wait(self, seconds: float) -> None:
        self._waiting = self._switch.later(seconds, lambda: self.guard(self.proceed))

    def _takes_time(self, step: Step) -> bool:
        match step:
            case Reply():
                self._reply(step)
                # After 180 nothing follows; after 183 and 200, what needs media waits for it.
            case Say():
                self._render(lambda: speech.sentence_file(self._switch.folder, step.text, step.language), self._said)
                return True
            case Pause():
                self._wait(step.seconds)
                return True
            case Clock():
                self.give_up_after(_CLOCK_LIMIT_SECONDS)
                self._tell_time(first=True)
                return True
            case Echo():
                self._echoes = True
                if self._media is not None:
                    self._media.startTransmit(self._media)
            case Milliwatt():
                self._play(speech.milliwatt_file(self._switch.folder), repeat=True)
            case CallBack():
                self._call_back = step
            case HangUp():
                self._end(0)
        return False

    def _reply(self, step: Reply) -> None:
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - by place only
        parameters.statusCode = step.code
        if step.q850 is not None:
            header = pj.SipHeader()
            header.hName, header.hValue = "Reason", f"Q.850;cause={step.q850}"
            parameters.txOption.headers.append(header)
        if step.code < _REFUSED:
            self.answer(parameters)
        else:
            self.hangup(parameters)

    def _end(self, code: int) -> None:
        if self._over or not self.isActive():
            return
        parameters = pj.CallOpParam()
        parameters.statusCode = code
        self.hangup(parameters)

    def _render(self, work: Callable[[], object], then: Callable[[object], None]) -> None:
        """`then` with the result, unless the call is over; the call ends if nothing can be said."""

        def done(future: Future[object]) -> None:
            if self._over:
                return
            self.guard(lambda: then(future.result()))

        self._switch.when_rendered(work, done)

    def _said(self, rendered: object) -> None:
        if not isinstance(rendered, tuple):
            raise TypeError("a sentence is a file and its length")
        path, seconds = rendered
        self._play(path, repeat=False)
        self._wait(seconds + 0.1)

    def _tell_time(self, *, first: bool) -> None:
        """Render and play one announcement, then the next."""
        moment = speakingclock.next_moment(time.time(), first=first)
        text = speakingclock.sentence(datetime.fromtimestamp(moment).astimezone())

        def speak(spoken: object) -> None:
            if not isinstance(spoken, bytes):
                raise TypeError("a sentence is bytes")
            left = moment - time.time()
            path = self._switch.folder / f"clock-{id(self):x}-{int(moment)}.wav"
            speech.write(path, speakingclock.announcement(spoken, left))
            self._passing.append(path)
            self._play(path, repeat=False)
            self._waiting = self._switch.later(
                moment - time.time() + 0.3, lambda: self.guard(lambda: self._tell_time(first=False))
            )

        self._render(lambda: speech.render(text), speak)

    def _play(self, path: Path, *, repeat: bool) -> None:
        if self._media is None:
            return
        self._silence()
        player = pj.AudioMediaPlayer()
        player.createPlayer(str(path), 0 if repeat else pj.PJMEDIA_FILE_NO_LOOP)
        player.startTransmit(self._media)
        self._player = player

    def _silence(self) -> None:
        """Let go of the player. Its port is taken out of the bridge first."""
        player, self._player = self._player, None
        if player is None:
            return
        try:
            if self._media is not None and not self._over:
                player.stopTransmit(self._media)
        except pj.Error as error:
            log.debug("player was already gone: %s", error.info())

    def release(self) -> None:
        """After the end: drop what pjsua2 keeps for this call, in its thread."""
        self._silence()
        self._media = None
        self._steps.clear()
        for path in self._passing:
            path.unlink(missing_ok=True)
