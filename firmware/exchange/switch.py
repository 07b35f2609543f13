"""The exchange's user agent on pjsua2: its accounts, its calls, its timers. What a call does is in `call`.

One thread does everything here, from `start` to `stop`; sentences are rendered in another. Media
runs in pjsua2's own threads (null sound device, players, the bridge), so an echo waits for no
Python.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pjsua2 as pj

from firmware.exchange import speech
from firmware.exchange.call import ExchangeCall, Timer
from firmware.exchange.message import SipSyntaxError, parse, parse_uri
from firmware.exchange.numbers import CallBack, HangUp, Pause, sentences, steps_for

log = logging.getLogger(__name__)

MAX_CALLS = 4
_RING_LIMIT_SECONDS = 45


class Switch:
    """Serves calls that the front passes to `port`; calls back through the front at `front`."""

    def __init__(self, folder: Path, front: tuple[str, int], default_user: str) -> None:
        self.folder = folder
        self.port = 0
        self._front, self._default_user = front, default_user
        self._endpoint: pj.Endpoint | None = None
        self._account: _Account | None = None
        self._callers: dict[str, _Account] = {}
        self.calls: dict[int, ExchangeCall] = {}
        self._finished: list[ExchangeCall] = []
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="exchange-speech")
        self._renderings: list[tuple[Future[object], Callable[[], None]]] = []

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring pjsua2 up on loopback. The calling thread is the switch's from now on."""
        speech.require()
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob("clock-*"):
            left.unlink(missing_ok=True)
        speech.milliwatt_file(self.folder)
        for sentence in sentences():
            self._workers.submit(speech.sentence_file, self.folder, sentence.text, sentence.language)
        endpoint = self._endpoint = pj.Endpoint()
        endpoint.libCreate()
        endpoint.libInit(_settings())
        transport = pj.TransportConfig()
        transport.boundAddress = transport.publicAddress = self._front[0]
        transport.port = 0
        self.port = _port_of(endpoint.transportGetInfo(endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)))
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            wanted = {"PCMA/8000/1": 200, "PCMU/8000/1": 190, "G722/16000/1": 180}
            endpoint.codecSetPriority(codec.codecId, wanted.get(codec.codecId, 0))
        endpoint.libStart()
        self._account = self._add_account(f"<sip:exchange@{self._front[0]}:{self._front[1]}>", default=True)

    def run_once(self, longest: float = 0.25) -> None:
        """Wait for something to happen, at most `longest` seconds, and deal with it."""
        if self._endpoint is None:
            raise RuntimeError("the switch was not started")
        wait = longest
        if self._renderings:
            wait = min(wait, 0.01)
        if self._timers:
            wait = min(wait, max(0.0, self._timers[0].at - time.monotonic()))
        self._endpoint.libHandleEvents(int(wait * 1000))
        for call in self._finished:
            call.release()
        self._finished.clear()
        for entry in [entry for entry in self._renderings if entry[0].done()]:
            self._renderings.remove(entry)
            entry[1]()
        while self._timers and self._timers[0].at <= time.monotonic():
            action = heapq.heappop(self._timers).action
            if action is not None:
                action()

    def stop(self) -> None:
        """Hang up everything and take pjsua2 down. Idempotent."""
        endpoint = self._endpoint
        if endpoint is None:
            return
        endpoint.hangupAllCalls()
        deadline = time.monotonic() + 2
        while self.calls and time.monotonic() < deadline:
            self.run_once(0.02)
        for call in list(self.calls.values()):
            call.release()
        self.calls.clear()
        self._workers.shutdown(wait=True, cancel_futures=True)
        for account in [*self._callers.values(), self._account]:
            if account is not None:
                account.shutdown()
        self._callers.clear()
        self._account = None
        endpoint.libDestroy()
        self._endpoint = None

    # --- for calls --------------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do `action` in `seconds`, in this thread."""
        timer = Timer(time.monotonic() + seconds, next(self._order), action)
        heapq.heappush(self._timers, timer)
        return timer

    def forget(self, timer: Timer | None) -> None:
        """A timer that is not wanted any more."""
        if timer is not None:
            timer.action = None

    def when_rendered(self, work: Callable[[], object], then: Callable[[Future[object]], None]) -> None:
        """Do `work` in the rendering thread, then `then` with its future in this one."""
        future = self._workers.submit(work)
        self._renderings.append((future, lambda: then(future)))

    def ended(self, call: ExchangeCall) -> None:
        """The call is over: let go of it once its callback has returned."""
        self.calls.pop(call.getId(), None)
        self._finished.append(call)

    def call_back(self, user: str, plan: CallBack) -> None:
        """Call `user` as the plan's caller."""
        uri = f'"{plan.name}" <sip:{plan.number}@{self._front[0]}:{self._front[1]}>'
        account = self._callers.get(uri) or self._add_account(uri, default=False)
        self._callers[uri] = account
        call = ExchangeCall(self, account, user, (*plan.then, Pause(60), HangUp()))
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - by place only
        header = pj.SipHeader()
        header.hName, header.hValue = "P-Asserted-Identity", uri
        parameters.txOption.headers.append(header)
        try:
            call.makeCall(f"sip:{user or self._default_user}@{self._front[0]}:{self._front[1]}", parameters)
        except pj.Error as error:
            log.warning("cannot call back: %s", error.info())
            return
        self.calls[call.getId()] = call
        call.give_up_after(_RING_LIMIT_SECONDS)

    def _add_account(self, uri: str, *, default: bool) -> _Account:
        settings = pj.AccountConfig()
        settings.idUri = uri
        settings.natConfig.iceEnabled = False
        settings.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        settings.mediaConfig.transportConfig.boundAddress = self._front[0]
        settings.mediaConfig.transportConfig.port = 20000
        settings.mediaConfig.transportConfig.portRange = 20000
        account = _Account(self)
        account.create(settings, default)
        return account


def _settings() -> pj.EpConfig:
    """pjsua2 for the least delay: 8 kHz, no jitter buffer to speak of, one SIP thread (ours)."""
    settings = pj.EpConfig()
    settings.logConfig.level = settings.logConfig.consoleLevel = 1
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.uaConfig.maxCalls = MAX_CALLS
    settings.uaConfig.userAgent = "Allobox test exchange"
    media = settings.medConfig
    media.clockRate = media.sndClockRate = 8000
    media.audioFramePtime = 20  # the packets' own: an echo measured no longer than with 10, and steadier
    media.ecTailLen = 0
    media.noVad = True
    media.jbInit = media.jbMinPre = 0
    return settings


def _port_of(info: pj.TransportInfo) -> int:
    """The port of a transport's local address HOST:PORT."""
    return int(info.localName.rpartition(":")[2])


class _Account(pj.Account):
    """Whom the exchange calls as, and where calls come in."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self._switch = switch

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - pjsua2's name
        try:
            request = parse(prm.rdata.wholeMsg.encode("utf-8", "surrogateescape"))
            called = parse_uri(request.uri).user
            # From may hide the number; the front puts in who proved to be calling.
            caller = parse_uri(request.get("p-asserted-identity") or request.get("from")).user
        except SipSyntaxError as error:
            log.warning("an INVITE that makes no sense: %s", error)
            called = caller = ""
        call = ExchangeCall(self._switch, self, caller, steps_for(called), prm.callId)
        self._switch.calls[prm.callId] = call
        log.info("call for %s from %s", called, caller)
        # Not within this callback: pjsua2 2.15.1 aborts if an INVITE without SDP is refused in it.
        self._switch.later(0, lambda: call.guard(call.proceed))
