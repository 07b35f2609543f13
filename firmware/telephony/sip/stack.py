"""The box's only pjsua2 import: its classes turned into ours, its structures into values.

Everything here belongs to the SIP thread, from `Stack.open` to `Stack.close`. The library's
defaults that are unsafe or slow for a telephone are replaced here, each with its reason. Callbacks
never raise into the library (it would only print them): `_kept` counts and reports.
"""
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from pjsua2 import pjsua2 as pj

from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.telephony.agent import DigitWay, SipAccount, SipSettings, Transport
from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.sip.deaf import deafen
from firmware.telephony.sip.fixed_buffer import FixedBuffer
from firmware.telephony.sip.hooks import SLOT_NOT_FREE, DialogState, Media, Registration, StackError, StackHooks
from firmware.telephony.sip.line_port import BridgePort
from firmware.telephony.sip.message import SipMessage, parse_message, split_host_port
from firmware.telephony.sip.native import MasterPort, Native, Port, SlotZero
from firmware.telephony.sip.phase import LOOK_SECONDS, Phase
from firmware.telephony.sip.resolver import literal
from firmware.telephony.sip.rtp_filter import admit_all, admit_only
from firmware.telephony.sip.sdp import adapted
from firmware.telephony.sip.statistics import reading_of
from firmware.telephony.sip.uris import account_uri, server_uri

_log = logging.getLogger(__name__)
SYSTEM_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
_DSCP_EF, _DSCP_CS3 = 46, 24  # RFC 4594: telephony bearer, signalling
_IPPROTO_TCP, _TCP_NODELAY = 6, 1
_TRACE_LEVEL: Final = 4  # the level at which the stack logs whole messages
_TRANSPORTS = {
    Transport.UDP: pj.PJSIP_TRANSPORT_UDP,
    Transport.TCP: pj.PJSIP_TRANSPORT_TCP,
    Transport.TLS: pj.PJSIP_TRANSPORT_TLS,
}
_LOOK_SECONDS: Final = 1.0  # between two looks at where the sound of calls comes from, and at unanswered INFOs
_INFO_SECONDS: Final = 5.0  # four times sent by then (RFC 3261 17.1.2.1); unanswered for 32 s it would end the call
_GIVEN_UP: Final = 487  # not 408, which ends the call (RFC 3261 12.2.1.2)
_OVER: Final = (pj.PJSIP_TSX_STATE_COMPLETED, pj.PJSIP_TSX_STATE_TERMINATED, pj.PJSIP_TSX_STATE_DESTROYED)
_CHALLENGES: Final = frozenset({401, 407})
_REFUSED: Final = 300
_READ_MS: Final = 20  # as much as a packet of ours holds
_SKIP_SECONDS: Final = 10.0  # in which a pause is looked for
_SIGNAL: Final = re.compile(r"^Signal=\s*([0-9A-D*#])", re.MULTILINE)
_LAST_RESORT: Final = ("PCMA", "PCMU")  # when the build has none of the account's codecs: never a call without sound
_NOT_FOUND: Final = 70_006  # PJ_ENOTFOUND
_TOO_SMALL: Final = 70_019  # PJ_ETOOSMALL
_Callback = Callable[[Any, Any], None]
_Prepare = Callable[[SipAccount], None]


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """The library's exceptions as ours."""
    try:
        yield
    except pj.Error as error:
        raise StackError(int(error.status), f"{error.title}: {error.reason}") from None


def _done(status: int, what: str) -> None:
    """The C library's refusals as ours."""
    if status != 0:
        raise StackError(status, what)


def _kept(callback: _Callback) -> _Callback:
    """A callback whose exceptions are reported instead of being lost in the library."""

    @functools.wraps(callback)
    def keeper(self: Any, parameters: Any) -> None:
        try:
            callback(self, parameters)
        except Exception:  # noqa: BLE001 it would only be printed by the wrapper
            self.hooks.on_callback_error(callback.__qualname__)

    return keeper


class _Log(pj.LogWriter):
    """The stack's log, a line at a time."""

    def __init__(self, hooks: StackHooks) -> None:
        super().__init__()
        self.hooks = hooks

    @_kept
    def write(self, entry: Any) -> None:
        self.hooks.on_log(entry.msg)


class _Endpoint(pj.Endpoint):
    """The library itself."""

    def __init__(self, hooks: StackHooks, ids: dict[str, StackAccount]) -> None:
        super().__init__()
        self.hooks = hooks
        self._ids = ids

    @_kept
    def onSelectAccount(self, prm: Any) -> None:  # noqa: N802 the library's name
        # Left alone, an INVITE that matches nobody falls to the default account, and an account of
        # unspecified transport always matches.
        name = self.hooks.select_account(parse_message(prm.rdata.wholeMsg), prm.rdata.srcAddress)
        if name is not None and name in self._ids:
            prm.accountIndex = self._ids[name].getId()


class StackAccount(pj.Account):
    """One account. `prepare` makes the stack write and read the next session descriptions as the account wants."""

    def __init__(
        self, hooks: StackHooks, wanted: SipAccount, native: Native, buffers: FixedBuffer, prepare: _Prepare
    ) -> None:
        super().__init__()
        self.hooks = hooks
        self.wanted = wanted
        self.native = native
        self.buffers = buffers
        self._prepare = prepare
        self.calls: weakref.WeakSet[StackCall] = weakref.WeakSet()  # who holds a call decides when it ends
        self._refused: list[tuple[StackCall, int]] = []

    @_kept
    def onRegState(self, prm: Any) -> None:  # noqa: D102, N802
        text = prm.rdata.wholeMsg
        self.hooks.on_registration(
            Registration(
                account=self.name,
                code=int(prm.code),
                phrase=prm.reason,
                status=int(prm.status),
                active=int(prm.expiration) > 0,
                answer=parse_message(text) if text else None,
                source=prm.rdata.srcAddress,
            )
        )

    @_kept
    def onIncomingCall(self, prm: Any) -> None:  # noqa: D102, N802
        invite = parse_message(prm.rdata.wholeMsg)
        refusal = self.hooks.judge_incoming(invite, prm.rdata.srcAddress, prm.callId)
        if refusal == SLOT_NOT_FREE or any(call.slot == prm.callId for call, _ in self._refused):
            # Without an object, for it would share the slot with another one: the library itself answers 500.
            return
        if refusal or invite is None:
            # Not at once: 2.15.1 aborts (`pjsip_rx_data_free_cloned`) when an INVITE without SDP is refused
            # inside the callback that announces it.
            self._refused.append((StackCall(self, prm.callId), refusal or 400))
            return
        self.hooks.on_incoming(StackCall(self, prm.callId), invite, prm.rdata.srcAddress)

    @_kept
    def onIncomingSubscribe(self, prm: Any) -> None:  # noqa: D102, N802
        prm.code = 403  # the default would accept; nobody watches this telephone

    @_kept
    def onMwiInfo(self, prm: Any) -> None:  # noqa: D102, N802
        notify = parse_message(prm.rdata.wholeMsg) if prm.rdata.wholeMsg else None
        if notify is not None and notify.method == "NOTIFY":
            self.hooks.on_messages(notify, prm.rdata.srcAddress)

    @property
    def name(self) -> str:
        """As the settings call it."""
        return self.wanted.name

    def prepare(self, codecs: Sequence[str] = ()) -> None:
        """Let the next session descriptions be this account's, with `codecs` in place of its own if any.

        Raises StackError.
        """
        self._prepare(replace(self.wanted, codecs=tuple(codecs)) if codecs else self.wanted)

    def refuse_due(self) -> None:
        """Answer the calls that were refused. Outside any callback."""
        while self._refused:
            call, sip_code = self._refused[0]
            with contextlib.suppress(StackError):
                call.hang_up(sip_code)
            del self._refused[0], call

    def register(self) -> None:
        """REGISTER now."""
        with _asking():
            self.setRegistration(True)

    def unregister(self) -> None:
        """REGISTER with Expires: 0."""
        with _asking():
            self.setRegistration(False)


class StackCall(pj.Call):
    """One call. The agent holds it until DISCONNECTED and lets it go outside any callback."""

    def __init__(self, account: StackAccount, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.hooks = account.hooks
        self._native = account.native
        self._buffers = account.buffers
        self._stream = 0  # where the library keeps the stream that runs; 0 without any
        self._phase: Phase | None = None  # while it is not known where its packets lie
        self._account = weakref.ref(account)
        self._wanted = account.wanted
        self._infos: dict[int, tuple[str, float]] = {}  # transactions under way: the digit, and since when
        self.slot = call_id
        self.local_tag = ""
        self._joined: Any = None
        self._line: Port | None = None
        self._pinned: set[int] = set()  # our RTP and RTCP ports that admit the far end only
        account.calls.add(self)

    # --- callbacks

    @_kept
    def onCallState(self, prm: Any) -> None:  # noqa: D102, N802
        info, event = self.getInfo(), prm.e.body.tsxState
        received = prm.e.type == pj.PJSIP_EVENT_TSX_STATE and event.type == pj.PJSIP_EVENT_RX_MSG
        message = parse_message(event.src.rdata.wholeMsg) if received else None
        state = {
            pj.PJSIP_INV_STATE_CONFIRMED: DialogState.CONFIRMED,
            pj.PJSIP_INV_STATE_DISCONNECTED: DialogState.DISCONNECTED,
        }.get(info.state, DialogState.SETUP)
        if state is DialogState.DISCONNECTED:
            self._stream = 0
            self._native.faxes.discard(id(self))
            self._leave()
        self.hooks.on_state(self, state, int(info.lastStatusCode), info.lastReason, message)

    @_kept
    def onCallTsxState(self, prm: Any) -> None:  # noqa: D102, N802
        event = prm.e.body.tsxState
        if event.tsx.method == "INFO":
            self._follow_info(event)
        if event.type == pj.PJSIP_EVENT_TX_MSG and not self.local_tag:
            self._learn_tag(parse_message(event.src.tdata.wholeMsg))
        if event.type == pj.PJSIP_EVENT_RX_MSG:
            message = parse_message(event.src.rdata.wholeMsg)
            if message is not None:
                self.hooks.on_message(self, message)

    @_kept
    def onCallMediaState(self, _prm: Any) -> None:  # noqa: D102, N802
        self._joined = None  # a renegotiation makes a new port; the old one is gone with its joints
        self._unpin()
        self.hooks.on_media(self)

    @_kept
    def onCallRxOffer(self, _prm: Any) -> None:  # noqa: D102, N802
        # The codecs are one list for the whole library, and the last call set it.
        codecs = self.hooks.codecs_for(self)
        if codecs:
            self._prepare(codecs)

    @_kept
    def onStreamCreated(self, prm: Any) -> None:  # noqa: D102, N802
        self._stream = int(prm.stream)
        self._phase = Phase()

    @_kept
    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: D102, N802
        wanted = self._wanted
        prm.sdp.wholeSdp = adapted(
            prm.sdp.wholeSdp,
            packet_ms=wanted.packet_ms,
            events=wanted.digits is not DigitWay.TONES,
            comfort_noise=wanted.suppress_silence,
        )

    @_kept
    def onStreamDestroyed(self, prm: Any) -> None:  # noqa: D102, N802
        self._stream = 0
        # Not told for a call that we hang up: its stream is read before.
        self.hooks.on_stream_end(self, self._read(prm.streamIdx))

    @_kept
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: D102, N802
        prm.statusCode = 603  # a REFER from the network must never dial

    @_kept
    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: D102, N802
        prm.statusCode = 603

    def onCallRedirected(self, _prm: Any) -> Any:  # noqa: N802
        """A 3xx never dials: another number is another price. The call ends with the 3xx."""
        return pj.PJSIP_REDIRECT_REJECT

    # --- commands

    @property
    def call_id(self) -> str:
        """Call-ID, "" for a call that is gone."""
        try:
            return str(self.getInfo().callIdString)
        except pj.Error:
            return ""

    def place(self, uri: str, headers: Sequence[tuple[str, str]], local_uri: str) -> None:
        """INVITE `uri`; `local_uri` replaces From when not empty."""
        with _asking():
            parameters = pj.CallOpParam(useDefaultCallSetting=True)
            parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
            for name, value in headers:
                header = pj.SipHeader()
                header.hName, header.hValue = name, value
                parameters.txOption.headers.append(header)
            if local_uri:
                parameters.txOption.localUri = local_uri
            self.makeCall(uri, parameters)
            self.slot = self.getId()

    def ring(self) -> None:
        """180."""
        self._respond(180)

    def accept(self) -> None:
        """200."""
        self._respond(200)

    def hang_up(self, sip_code: int) -> None:
        """CANCEL, BYE or a final answer."""
        self._stream = 0
        self._native.faxes.discard(id(self))
        with _asking():
            parameters = pj.CallOpParam()
            parameters.statusCode = sip_code
            self.hangup(parameters)

    def join(self, line: int) -> bool:
        """Both ways between the call's sound and `line`. Raises StackError if there is no such line."""
        port = self._native.port(line)
        if port is None or port.slot is None:
            raise StackError(_NOT_FOUND, f"this build of the SIP stack has no port for line {line}")
        if port is not self._line:
            self.part()
        if self._joined is not None:
            return True
        with _asking():
            if not self.media().flows:
                return False
            sound = self.getAudioMedia(-1)
            _done(self._native.connect(port.slot, sound.getPortId()), "the line is not joined to the call")
            self._joined, self._line = sound, port
            port.calls.add(id(self))
        return True

    def part(self) -> None:
        """The joints undone."""
        sound, self._joined = self._joined, None
        port = self._leave()
        if sound is not None and port is not None and port.slot is not None:
            with _asking():
                _done(self._native.disconnect(port.slot, sound.getPortId()), "the line is not parted from the call")

    def _leave(self) -> Port | None:
        """The line has this call no more; a renegotiation alone does not take it away."""
        port, self._line = self._line, None
        if port is not None:
            port.calls.discard(id(self))
        return port

    def watch_source(self) -> None:
        """Once the far end's sound comes from the host it negotiated, no other host is heard, nor followed.

        Not before the call is answered: an announcement may come from elsewhere. Not if the sound comes from a
        host that was never negotiated (a far end behind NAT): nobody but the stream could tell who is right.
        """
        if self._pinned:
            return
        with contextlib.suppress(pj.Error, OSError, ValueError):
            info = self.getInfo()
            for media in info.media:
                if info.state == pj.PJSIP_INV_STATE_CONFIRMED and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                    way = self.getMedTransportInfo(media.index)
                    host = split_host_port(self.getStreamInfo(media.index).remoteRtpAddress)[0]
                    if host and split_host_port(way.srcRtpName)[0] == host:
                        ports = {split_host_port(name)[1] for name in (way.localRtpName, way.localRtcpName)}
                        self._pinned = {port for port in ports if port}
                        admit_only(self._pinned, host)

    def _unpin(self) -> None:
        ports, self._pinned = self._pinned, set()
        if ports:
            with contextlib.suppress(OSError):
                admit_all(ports)

    def hold(self, *, on: bool) -> None:
        """Re-INVITE: sendonly, or sound both ways again (RFC 3264 8.4)."""
        self._prepare()
        with _asking():
            parameters = pj.CallOpParam(useDefaultCallSetting=True)
            parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
            if on:
                self.setHold(parameters)
            else:
                parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
                self.reinvite(parameters)

    def ask_for(self, codecs: Sequence[str]) -> None:
        """Re-INVITE that offers these codecs only."""
        self._prepare(codecs)
        with _asking():
            parameters = pj.CallOpParam(useDefaultCallSetting=True)
            parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
            self.reinvite(parameters)

    def go_bare(self) -> None:
        """The stream that runs: nothing concealed, a jitter buffer of one depth."""
        if not self._stream:
            return
        self._phase = None
        self._native.faxes.add(id(self))
        with _asking():
            info = self.getInfo()
            for media in info.media:
                if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                    stream = self.getStreamInfo(media.index)
                    codec = stream.audCodecParam
                    codec.setting.plc = codec.setting.vad = False
                    self.audStreamModifyCodecParam(media.index, codec)
                    if not self._buffers.fix(self._stream):
                        _log.warning("a jitter buffer cannot be fixed in this build of the SIP stack: faxes may fail")

    def dial(self, digit: str) -> None:
        """A telephone event (RFC 4733)."""
        with _asking():
            self.dialDtmf(digit)

    def inform(self, digit: str) -> None:
        """An INFO (application/dtmf-relay), whose answer `_follow_info` sees."""
        with _asking():
            parameters = pj.CallSendDtmfParam()
            parameters.method, parameters.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, digit
            self.sendDtmf(parameters)

    def _follow_info(self, event: Any) -> None:
        """One of our INFOs is under way, or over."""
        transaction = event.tsx
        if transaction.role != pj.PJSIP_ROLE_UAC:
            return
        address, code = int(transaction.pjTransaction), int(transaction.statusCode)
        if transaction.state not in _OVER:
            found = _SIGNAL.search(event.src.tdata.wholeMsg) if event.type == pj.PJSIP_EVENT_TX_MSG else None
            if found is not None:
                self._infos.setdefault(address, (found[1], time.monotonic()))
            return
        digit, _ = self._infos.pop(address, ("", 0.0))
        # A challenged one is repeated by the stack, as a transaction of its own.
        if digit and code >= _REFUSED and code not in _CHALLENGES:
            self.hooks.on_digit_refused(self, digit)

    def watch_infos(self) -> None:
        """An INFO that nobody answers is given up before the stack takes the silence for the end of the call."""
        limit = time.monotonic() - _INFO_SECONDS
        for address in [a for a, (_, since) in self._infos.items() if since < limit]:
            self._native.give_up(address, _GIVEN_UP)

    def settle(self) -> float | None:
        """Look where its packets lie beside the ticks, some 200 times, and have a tick left out if they lie badly."""
        bridge, phase = self._native.bridge, self._phase
        if bridge is None or phase is None or not self._stream or self._joined is None:
            return None
        if not phase.looks and not self._read_each_second_tick():
            self._phase = None
            return None
        try:
            held = int(self.getStreamStat(0).jbuf.size)
        except pj.Error:
            return None
        phase.look(bridge.ticks, (time.monotonic() - bridge.ticked_at) * 1000, held)
        if not phase.done:
            return LOOK_SECONDS
        self._phase = None
        if phase.awkward and not self._native.faxes:  # a tick left out would cost another call's page a frame
            bridge.skip(_SKIP_SECONDS)
        return None

    def _read_each_second_tick(self) -> bool:
        with contextlib.suppress(pj.Error):
            info = self.getInfo()
            for media in info.media:
                if media.type == pj.PJMEDIA_TYPE_AUDIO:
                    codec = self.getStreamInfo(media.index).audCodecParam
                    return bool(codec.setting.frmPerPkt * codec.info.frameLen == _READ_MS)
        return False

    def media(self) -> Media:
        """How the sound stands; a call that is gone has none."""
        try:
            info = self.getInfo()  # held: its lists die with it
            for media in info.media:
                if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in {
                    pj.PJSUA_CALL_MEDIA_ACTIVE,
                    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
                }:
                    stream = self.getStreamInfo(media.index)
                    codec = f"{stream.codecName}/{stream.codecClockRate}"
                    held = media.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
                    return Media(flows=True, codec=codec, held=held, events=stream.audTxEventPt >= 0)
        except pj.Error:
            pass
        return Media(flows=False, codec="", held=False)

    def reading(self) -> StreamReading | None:
        """The counters of the sound's stream; None while there is none."""
        with contextlib.suppress(pj.Error):
            info = self.getInfo()
            for media in info.media:
                if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status != pj.PJSUA_CALL_MEDIA_NONE:
                    return self._read(media.index)
        return None

    def _read(self, index: int) -> StreamReading | None:
        try:
            stat, info = self.getStreamStat(index), self.getStreamInfo(index)
        except pj.Error:
            return None
        return reading_of(stat, info)

    def _learn_tag(self, sent: SipMessage | None) -> None:
        ours = sent.address("from" if sent.is_request else "to") if sent is not None else None
        self.local_tag = ours.tag if ours is not None else ""

    def _prepare(self, codecs: Sequence[str] = ()) -> None:
        account = self._account()
        if account is not None:
            account.prepare(codecs)

    def _respond(self, code: int) -> None:
        self._prepare()
        with _asking():
            parameters = pj.CallOpParam(useDefaultCallSetting=True)
            parameters.statusCode = code
            parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
            self.answer(parameters)


class Stack:
    """The library's life: `open`, `handle_events` over and over, `close`; once a process."""

    def __init__(self, hooks: StackHooks) -> None:
        self._hooks = hooks
        self._accounts: dict[str, StackAccount] = {}
        self._realms: dict[str, str] = {}
        self._transports: dict[tuple[Transport, str, bool], int] = {}
        self._settings = SipSettings()
        self._log = _Log(hooks)
        self._endpoint = _Endpoint(hooks, self._accounts)
        self.native = Native(str(sys.modules["pjsua2._pjsua2"].__file__))
        self._buffers = FixedBuffer(self.native)
        self._next_look = 0.0
        self._prepared: tuple[tuple[str, ...], int, bool] | None = None
        self.codecs: tuple[str, ...] = ()

    def open(self, settings: SipSettings) -> tuple[str, int]:
        """Create, configure and start; the address and UDP port listened on. Raises StackError."""
        self._settings = settings
        with _asking():
            self.native.hush()
            self._endpoint.libCreate()
            self._endpoint.libInit(self._configuration(settings))
            self.codecs = tuple(dict.fromkeys(c.codecId.partition("/")[0] for c in self._endpoint.codecEnum2()))
            transport = self._transport(Transport.UDP, "", verify=False)
            info = self._endpoint.transportGetInfo(transport)
        host, port = split_host_port(info.localAddress)
        return host, port or 0

    def start(self) -> MasterPort:
        """Let messages flow; the bridge without a sound device, its clock whoever ticks it."""
        with _asking():
            self._endpoint.libStart()
            master = int(self._endpoint.audDevManager().setNoDev())
        # Held by `native`: the library reads from them until libDestroy.
        self.native.ports = self._ports(self._settings.lines)
        self.native.bridge = MasterPort(self.native, master, _clock_rate(self._settings))
        return self.native.bridge

    def _ports(self, lines: int) -> tuple[Port, ...]:
        """A place in the bridge for each line, or for the first alone in a stack whose layout is not proven."""
        made: list[Port] = []
        rates = self._settings.rates_hz
        for line in range(lines):
            port = BridgePort(self.native, rates[line] if line < len(rates) else SAMPLE_RATE_HZ)
            if port.slot is None:
                if lines > 1:
                    _log.error("this build of the SIP stack carries the voice of one line only, not of %d", lines)
                return tuple(made) or (SlotZero(_clock_rate(self._settings)),)
            made.append(port)
        return tuple(made)

    def close(self) -> None:
        """Destroy. Calls and registrations are ended before, by the agent: no waiting here."""
        for account in self._accounts.values():
            with contextlib.suppress(pj.Error):
                account.shutdown()
        self._accounts.clear()
        with _asking():
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    def handle_events(self, seconds: float) -> None:
        """Wait for and serve the network and the library's timers, at most `seconds`."""
        self._endpoint.libHandleEvents(max(0, round(seconds * 1000)))
        look = time.monotonic() >= self._next_look
        if look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
        for account in self._accounts.values():
            account.refuse_due()
            for call in tuple(account.calls) if look else ():
                call.watch_source()
                call.watch_infos()

    def prepare(self, name: str) -> None:
        """Let the session descriptions that come and go next be those of account `name`. Raises StackError."""
        account = self._accounts.get(name)
        if account is not None:
            account.prepare()

    def _prepare(self, account: SipAccount) -> None:
        """Offer exactly the account's codecs, in its order, and make the next stream's packets as it wants.

        The stack has one such set for all calls, read when a description is written or a stream is made.
        """
        wanted = (account.codecs, account.packet_ms, account.suppress_silence)
        if wanted == self._prepared:
            return
        self._prepared = None
        names = [codec.upper() for codec in account.codecs]
        if not set(names) & {codec.upper() for codec in self.codecs}:
            names = list(_LAST_RESORT)
        with _asking():
            for codec in self._endpoint.codecEnum2():
                name = codec.codecId.partition("/")[0].upper()
                order = names.index(name) if name in names else -1
                self._endpoint.codecSetPriority(codec.codecId, 255 - order if order >= 0 else 0)
                if order >= 0:
                    self._set_packets(codec.codecId, account.packet_ms, suppress=account.suppress_silence)
        self._prepared = wanted

    def _set_packets(self, codec: str, packet_ms: int, *, suppress: bool) -> None:
        parameters = self._endpoint.codecGetParam(codec)
        frame = parameters.info.frameLen / max(1, parameters.info.frameLenDenum)
        # iLBC's frames of 30 ms are what they are.
        parameters.setting.frmPerPkt = max(1, int(packet_ms / frame)) if frame > 0 else 1
        parameters.setting.vad = suppress
        self._endpoint.codecSetParam(codec, parameters)

    def put_account(self, account: SipAccount, realm: str, *, moved: bool) -> None:
        """Add an account, or change it in place (its calls go on). Raises StackError."""
        try:
            self._put_account(account, realm, moved=moved)
        except StackError as error:
            if error.status != _TOO_SMALL or not account.display_name:
                raise
            self._put_account(replace(account, display_name=""), realm, moved=moved)
        self._realms[account.name] = realm

    def _put_account(self, account: SipAccount, realm: str, *, moved: bool) -> None:
        with _asking():
            configuration = self._account_configuration(account, realm)
            # Modified quietly the stack would go on registering at the old place.
            configuration.regConfig.disableRegOnModify = not moved
            known = self._accounts.get(account.name)
            if known is not None:
                known.modify(configuration)
                known.wanted = account
                return
            fresh = StackAccount(self._hooks, account, self.native, self._buffers, self._prepare)
            fresh.create(configuration)
            self._accounts[account.name] = fresh

    def remove_account(self, name: str) -> None:
        """Unregister and forget an account."""
        account = self._accounts.pop(name, None)
        if account is not None:
            with _asking():
                account.shutdown()

    def register(self, name: str) -> None:
        """REGISTER now."""
        self._accounts[name].register()

    def unregister(self, name: str) -> None:
        """REGISTER with Expires: 0."""
        self._accounts[name].unregister()

    def calls_in_use(self) -> int:
        """How many call slots are taken, those of calls that are being ended too."""
        return self.native.calls_in_use()

    def terminate(self, call_id: str, local_tag: str, remote_tags: Iterable[str]) -> bool:
        """End a call that was hung up and whose far end is silent, so that its slot is free; False if it is gone."""
        return self.native.terminate(call_id, local_tag, remote_tags)

    def place(self, account: SipAccount, target: str, headers: Sequence[tuple[str, str]], local_uri: str) -> StackCall:
        """INVITE `target` at the account's server. Raises StackError when it cannot even leave."""
        if account.name not in self._accounts:
            raise StackError(_NOT_FOUND, f"no account {account.name}")
        self._accounts[account.name].prepare()
        call = StackCall(self._accounts[account.name])
        try:
            call.place(server_uri(account, account.server, target), headers, local_uri)
        except StackError as error:
            if error.status != _TOO_SMALL or not account.display_name:
                raise
            # Better without a name than no call.
            nameless = replace(account, display_name="")
            self._put_account(nameless, self._realms.get(account.name, ""), moved=False)
            return self.place(nameless, target, headers, local_uri)
        return call

    def _configuration(self, settings: SipSettings) -> Any:
        configuration = pj.EpConfig()
        ua = configuration.uaConfig
        ua.threadCnt, ua.mainThreadOnly = 0, True  # one thread for everything: no lock, no crash
        ua.maxCalls, ua.userAgent = settings.max_calls, settings.user_agent
        ua.mwiUnsolicitedEnabled = True  # the guard lets in nobody but the accounts' own servers
        for server in settings.nameservers:
            ua.nameserver.append(server)
        if settings.stun_server:
            ua.stunServer.append(settings.stun_server)
            ua.stunIgnoreFailure = True
        log = configuration.logConfig
        log.level = log.consoleLevel = _TRACE_LEVEL
        log.decor, log.msgLogging = 0, 1
        log.writer = self._log
        self._log.__disown__()  # libDestroy deletes it
        media = configuration.medConfig
        media.clockRate = media.sndClockRate = _clock_rate(settings)
        media.audioFramePtime, media.ptime = 10, 0  # 0: as each codec has it, and the far end asks for
        media.jbInit, media.jbMinPre = 0, 0  # no delay beyond what the network asks for
        media.noVad, media.ecTailLen = (
            False,
            0,
        )  # the line cancels; each codec says if silence is sent
        return configuration

    def _transport(self, kind: Transport, ca_file: str, *, verify: bool) -> int:
        """The transport for this kind; TLS has one for each authority, since trust is the transport's."""
        key = (kind, ca_file, verify) if kind is Transport.TLS else (kind, "", False)
        if key not in self._transports:
            configuration = pj.TransportConfig()
            configuration.boundAddress = self._settings.bind
            configuration.port = self._settings.port if kind is Transport.UDP else 0
            _mark(configuration, _DSCP_CS3)
            if kind is not Transport.UDP:
                option = pj.SockOpt()
                option.level, option.optName = _IPPROTO_TCP, _TCP_NODELAY
                option.setOptValInt(1)
                # Without it an answer over TCP waits 40 ms for Nagle.
                (configuration.tlsConfig if kind is Transport.TLS else configuration).sockOptParams.sockOpts.append(
                    option
                )
            if kind is Transport.TLS:
                configuration.tlsConfig.verifyServer = verify  # off by default
                configuration.tlsConfig.CaListFile = ca_file or SYSTEM_CA
                _mark(configuration.tlsConfig, _DSCP_CS3)
            self._transports[key] = int(self._endpoint.transportCreate(_TRANSPORTS[kind], configuration))
            if kind is not Transport.UDP:
                _, port = split_host_port(self._endpoint.transportGetInfo(self._transports[key]).localAddress)
                if not deafen(port or 0):
                    _log.warning("the %s listener on port %s could not be closed", kind.value, port)
        return self._transports[key]

    def _account_configuration(self, account: SipAccount, realm: str) -> Any:
        configuration = pj.AccountConfig()
        configuration.idUri = account_uri(account)
        registration = configuration.regConfig
        registration.registrarUri = server_uri(account, account.server) if account.register else ""
        registration.registerOnAdd = False
        registration.timeoutSec = account.expires_seconds
        # The stack would retry after 300 s; `retry.BackOff` does after 5.
        registration.retryIntervalSec = registration.firstRetryIntervalSec = 0
        registration.unregWaitMsec = 500
        sip = configuration.sipConfig
        sip.transportId = self._transport(account.transport, account.ca_file, verify=account.verify_tls)
        if account.proxy:
            sip.proxies.append(f"<{server_uri(account, account.proxy)};lr>")
        if realm:
            # Never "*": such credentials answer anybody's challenge.
            user = account.auth_user or account.user
            sip.authCreds.append(pj.AuthCredInfo("digest", realm, user, 0, account.password))
        calls = configuration.callConfig
        calls.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        calls.prackUse = pj.PJSUA_100REL_NOT_USED  # used only when the far end demands it
        configuration.mwiConfig.enabled = account.message_waiting
        nat = configuration.natConfig
        nat.contactRewriteUse, nat.viaRewriteUse, nat.sdpNatRewriteUse = 2, 1, 0
        nat.udpKaIntervalSec = 15
        if not literal(split_host_port(account.proxy or account.server)[0]):
            # For the source port's sake the stack would look the name up by itself, waiting for the DNS; the
            # rewriting above puts it into the second REGISTER.
            nat.contactUseSrcPort = False
        media = configuration.mediaConfig
        media.lockCodecEnabled = False  # a re-INVITE right after the answer upsets providers
        media.streamKaEnabled = True
        media.transportConfig.boundAddress = self._settings.bind
        media.transportConfig.port = self._settings.rtp_port
        _mark(media.transportConfig, _DSCP_EF)
        return configuration


def _clock_rate(settings: SipSettings) -> int:
    """The bridge's samples a second: those of its widest line; it converts for the others by itself."""
    return max((SAMPLE_RATE_HZ, *settings.rates_hz))


def _mark(configuration: Any, dscp: int) -> None:
    configuration.qosParams.flags = pj.PJ_QOS_PARAM_HAS_DSCP
    configuration.qosParams.dscp_val = dscp
