"""The composition root of the core process: the only place that builds real drivers.

Threads of the core: the control loop (this one, asyncio), the SIP agent's, one voice thread a
line, the ledger's, the control server's pool, the line driver's reader. They meet by queues: every
callback from elsewhere becomes an event of the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

from firmware import __version__, accounts, numbering
from firmware.account_rules import missing_codecs
from firmware.backoffice import BackOffice, MemoryLog
from firmware.budgetdesk import BudgetDesk
from firmware.clock import SystemClock
from firmware.config import LineSettings as LineConfig
from firmware.config import LinesSettings, Settings, SettingsFile
from firmware.control_routes import box_socket
from firmware.control_server import ControlServer
from firmware.doctordesk import DoctorDesk, Examined, Sink, examine_apart
from firmware.eventhub import EventHub
from firmware.fxs import callerid, country, message_waiting, safe, waiting_sound
from firmware.fxs.doctor import Recording
from firmware.fxs.elastic import Elastic
from firmware.fxs.hook import HookDecoder, HookSettings
from firmware.fxs.pcm import SAMPLE_RATE_HZ, LinePcm
from firmware.fxs.port import Capability, FxsPort, PortEvent
from firmware.fxs.ringer import Ringer
from firmware.fxs.voice import LineVoice
from firmware.fxs.waiting import WaitingSettings
from firmware.fxs.wideband import WideVoice
from firmware.lineaudio import LineAudio
from firmware.lines import SoundWatch, build_levels, build_line, wiring
from firmware.rates import rating
from firmware.rates.book import RateBook
from firmware.rates.budget import Cap
from firmware.rates.usage import Spent
from firmware.service import DoctorRow, LineRow, ProcessRow, ServiceError, TraceRow
from firmware.speaker import Speaker
from firmware.standings import Standings
from firmware.tariffs import Choice, Tariffs
from firmware.telephony import agent as sip
from firmware.telephony import announcements, services
from firmware.telephony import events as ev
from firmware.telephony.bridgeclock import BridgeClock
from firmware.telephony.call import CallSettings
from firmware.telephony.calls import Registration, Switchboard
from firmware.telephony.distribution import LineWishes
from firmware.telephony.handset import Handset, LineSnapshot
from firmware.telephony.handset_waiting import OffHookId
from firmware.telephony.ledger import Ledger
from firmware.telephony.line import LineMachine, LineSettings
from firmware.telephony.media import VoicePath
from firmware.telephony.pjsua_agent import PjsuaAgent
from firmware.telephony.quality_record import LineCounters
from firmware.telephony.ringing import RingRules
from firmware.telephony.routing import Quote
from firmware.telephony.sip.reasons import REGISTERING
from firmware.watchdog import Notifier, VoiceWatch, beat

_log = logging.getLogger("allobox")
_MAX_ACCOUNTS = 8
PLAIN_SIP = "ALLOBOX_PLAIN_SIP"


class Restart(Enum):
    """Whether the process begins anew once it has shut down."""

    NO = ""
    AS_IT_IS = "0"
    PLAIN_SIP = "1"


class Box:
    """The running core. Also the `LiveBox` that the back office asks, from its own threads."""

    def __init__(
        self, data: Path, settings_file: SettingsFile, saved: Settings, lines: LinesSettings, log: MemoryLog
    ) -> None:
        self._data = data
        # The command line may name other lines than the settings; they are never saved.
        self._lines_config = lines
        self._line_configs = {line: lines.of(line) for line in range(1, lines.count + 1)}
        self._settings = saved
        self._clock = SystemClock()
        self._notifier = Notifier()
        self._hub = EventHub()
        self._agent = PjsuaAgent()
        self._sip: ProcessRow = {"state": "starting", "detail": ""}
        self._codecs: tuple[str, ...] = ()
        self._last_good = accounts.LastGood(data / "accounts.last-good.toml")
        self._rings = self._ring_rules(saved)
        self._book = RateBook(data / "decks", saved.box.country, zone=saved.box.timezone)
        self._budgets = BudgetDesk(
            clock=self._clock,
            settings=saved,
            has_deck=lambda account: self._book.deck_of(account) is not None,
            told=lambda kind: self._tell(kind, {}),
        )
        self._standings = Standings()
        self._tariffs = Tariffs(self._book, self._clock, self._budgets, _choice(saved), self._standings)
        self._ledger = Ledger(data / "box.db", self._clock, self._tariffs.charge, watch=self._budgets)
        self._office = BackOffice(
            settings_file=settings_file,
            settings=saved,
            ledger=self._ledger,
            book=self._book,
            clock=self._clock,
            live=self,
            tariffs=self._tariffs,
            log=log,
            max_accounts=_MAX_ACCOUNTS,
        )
        self._server = ControlServer(box_socket(data), self._office, self._hub)
        self._handsets: dict[int, Handset] = {}
        self._bridge = BridgeClock(Elastic)
        self._paths: list[VoicePath] = []
        self._ports: list[FxsPort] = []
        self._pcms: dict[int, LinePcm] = {}
        self._voices: dict[int, LineVoice] = {}
        self._speech: dict[tuple[ev.Words, str], bytes] = {}
        self._stopped = asyncio.Event()
        self._plain_sip = os.environ.get(PLAIN_SIP) == Restart.PLAIN_SIP.value
        self._beyond = False
        self.restart = Restart.NO
        self.failed = False
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._switchboard = Switchboard(
            agent=self._agent,
            scheduler=self._loop,
            book=self._ledger,
            tariff=self,
            country=saved.box.country,
            emergency_accounts=self._emergency_accounts,
            emergency_tariff=rating.to_tariff(rating.emergency_rate("", "EUR")),
            setup_code=lambda: self._office.setup_code.digits,
            outlook_of=self._outlook,
            told=self._told_of_calls,
            rings=lambda line: self._rings[line],
            counters=self._line_counters,
            pins=self._budgets,
            announce_above=self._said_above,
            times=self._call_times,
        )
        self._speaker = Speaker(
            country.load(saved.box.country),
            language=lambda: self._settings.box.language,
            start=self._start,
            humbly=_humbly,
        )
        self._doctor = self._line_doctor(saved.box.country)
        self._switchboard.diagnose = self._doctor.begin

    def _line_doctor(self, home: str) -> DoctorDesk:
        pulse = self._lines_config.pulse
        return DoctorDesk(
            scheduler=self._loop,
            handsets=self._handsets,
            tap=self._tap,
            is_emergency=lambda digits: numbering.is_emergency(digits, home),
            flash_ms=HookSettings.for_country(country.load(home), pulse=pulse).flash_ms,
            examine=self._examine,
            told=lambda: self._tell("doctor", {}),
            wall=self._clock.wall,
        )

    # --- life ----------------------------------------------------------------------------

    async def run(self, sip_port: int) -> None:
        """Serve until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopped.set)
        voices = VoiceWatch(lambda: self._paths)
        self._start(beat(self._notifier, voices.stuck))
        self._ledger.start()
        self._learn_standings()
        self._start(self._budgets.keep_reading(self._ledger))
        self._remember_wiring()
        for line, config in self._line_configs.items():
            self._add_line(line, config)
        self._switchboard.accounts_changed([account.name for account in accounts.enabled(self._settings)])
        self._agent.start(self._sip_settings(sip_port), lambda event: self._later(self._agent_event, event))
        # Between the pieces the loop serves whoever lifts the handset already.
        await asyncio.sleep(0)
        await self._server.start()
        self._notifier.tell("READY=1")
        numbering.prepare()
        await asyncio.sleep(0)
        self._start(self._prepare_speech())
        self._start(self._watch_sound())
        gc.freeze()  # what lives as long as the box is never walked again
        await self._stopped.wait()
        self._notifier.tell("WATCHDOG=1" if self.restart is not Restart.NO else "STOPPING=1")
        await self._shut()
        self._notifier.tell("WATCHDOG=1")

    def _remember_wiring(self) -> None:
        """For `fxs.safe`, before any pin is taken. A disk that is full must not cost the telephone."""
        try:
            safe.remember(self._data, [wiring(config) for config in self._line_configs.values()])
        except OSError as error:
            _log.error("what the lines are wired to cannot be kept: %s", error)

    def _sip_settings(self, port: int) -> sip.SipSettings:
        if self._plain_sip:
            _log.error("SIP runs without the settings sip.*: with them it could not start (see above); mend them")
            return sip.SipSettings(max_accounts=_MAX_ACCOUNTS, lines=len(self._line_configs), rates_hz=self._rates_hz)
        config = self._settings.sip
        return sip.SipSettings(
            port=port,
            bind=config.bind,
            rtp_port=config.rtp_port,
            nameservers=tuple(config.nameservers),
            max_accounts=_MAX_ACCOUNTS,
            lines=len(self._line_configs),
            rates_hz=self._rates_hz,
        )

    @property
    def _rates_hz(self) -> tuple[int, ...]:
        return tuple(config.sample_rate for config in self._line_configs.values())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _later(self, function: Callable[..., object], *args: object) -> None:
        """Queue an event from another thread. A loop that has ended takes no more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    async def _shut(self) -> None:
        self._switchboard.shut()
        for handset in self._handsets.values():
            handset.shut()
        await self._server.stop()
        await self._loop.run_in_executor(None, self._agent.stop)
        await self._loop.run_in_executor(None, self._speaker.shut)
        for path in self._paths:
            path.shutdown()
        for port in self._ports:
            port.stop()
        await self._loop.run_in_executor(None, self._ledger.stop)

    # --- lines ---------------------------------------------------------------------------

    def _add_line(self, line: int, config: LineConfig) -> None:
        box = self._settings.box
        home = country.load(box.country)
        port, pcm = build_line(self._data, line, config)
        reverses = Capability.POLARITY_REVERSAL in port.capabilities
        voice = LineVoice(
            home,
            on_digit=lambda digit: self._later(self._digit, line, digit),
            on_speech_end=lambda: self._later(self._speech_ended, line),
            cancel_echo=config.echo_canceller,
            suppress_echo=config.echo_suppression,
            echo_tail_ms=config.echo_tail_ms,
            automatic_gain=config.automatic_gain,
            clock=time.monotonic,
            reference_delay_frames=pcm.delay_frames,
            levels=build_levels(config, home),
            mend_splices=config.sample_rate == SAMPLE_RATE_HZ,
            on_fax=lambda: self._later(self._switchboard.fax, line),
        )
        if config.sample_rate == SAMPLE_RATE_HZ:
            path = VoicePath(pcm, voice, self._bridge.end(line, mend=voice.from_bridge), name=str(line))
        else:
            end = self._bridge.end(line, lambda: Elastic(config.sample_rate))
            path = VoicePath(pcm, WideVoice(voice), end, name=str(line))
        handset = Handset(
            line,
            port=port,
            voice=LineAudio(path, voice),
            hook=HookDecoder(HookSettings.for_country(home, pulse=config.pulse)),
            ringer=Ringer(home.ring, home.caller_id.fitting(can_reverse=reverses)),
            machine=LineMachine(
                lambda digits: services.analyse(digits, box.country),
                LineSettings(
                    ring_limit=config.ring_limit_seconds,
                    hang_up_guard=config.hang_up_guard_seconds,
                    polarity_reversal=config.polarity_reversal,
                ),
                self._switchboard.new_key,
                call_waiting=config.call_waiting,
            ),
            scheduler=self._loop,
            caller_id=lambda caller: self._caller_id(home, caller) if config.caller_id else None,
            lamp=lambda waiting: self._lamp(home, waiting) if config.caller_id else None,
            speech=self._speech_for,
            changed=self._line_changed,
            off_hook_id=lambda caller: self._off_hook_id(home, caller) if config.caller_id else None,
            waiting=WaitingSettings(period=waiting_sound.period_seconds(home)),
            money=self._speaker,
        )
        self._handsets[line] = handset
        self._paths.append(path)
        self._ports.append(port)
        self._pcms[line] = pcm
        self._voices[line] = voice
        self._switchboard.add_line(handset, LineWishes(config.account, config.ring_accounts))
        self._tone_ahead(home)
        try:
            port.start(lambda event: self._later(self._port_event, line, event))
        except OSError as error:
            _log.error("line %d: %s", line, error)

    @staticmethod
    def _tone_ahead(home: country.Country) -> None:
        """Render every tone before the first lift: nothing is computed while somebody listens."""
        from firmware.fxs import tones  # noqa: PLC0415 - named here for what it does

        for name in home.tones:
            tones.render(home, name)

    def _port_event(self, line: int, event: PortEvent) -> None:
        self._handsets[line].port_event(event)

    def _digit(self, line: int, digit: str) -> None:
        self._handsets[line].digit(digit)

    def _speech_ended(self, line: int) -> None:
        self._handsets[line].speech_ended()

    def _caller_id(self, home: country.Country, caller: ev.Caller) -> bytes | None:
        local = datetime.now(ZoneInfo(self._settings.box.timezone))
        absence = caller.absence.value if caller.absence is not None else None
        return callerid.transmission(home, caller.number, caller.name, local, absence)

    def _off_hook_id(self, home: country.Country, caller: ev.Caller) -> OffHookId | None:
        local = datetime.now(ZoneInfo(self._settings.box.timezone))
        absence = caller.absence.value if caller.absence is not None else None
        made = waiting_sound.samples(home, caller.number, caller.name, local, absence)
        return None if made is None else OffHookId(*made)

    def _lamp(self, home: country.Country, waiting: bool) -> bytes | None:  # noqa: FBT001 - a lamp
        """A message-waiting message, with how many wait if the accounts' servers say so."""
        local = datetime.now(ZoneInfo(self._settings.box.timezone))
        return message_waiting.transmission(home, self._switchboard.mailboxes.count if waiting else 0, local)

    def _ring_rules(self, settings: Settings) -> dict[int, RingRules]:
        return {line: accounts.ring_rules(settings, line) for line in self._line_configs}

    def _line_changed(self, snapshot: LineSnapshot) -> None:
        self._tell("line", dict(self._line_row(snapshot)))

    def _line_row(self, snapshot: LineSnapshot) -> LineRow:
        return {
            "line": snapshot.line,
            "state": snapshot.state,
            "hook": "off" if snapshot.off_hook else "on",
            "ringing": snapshot.ringing,
            "outlook": snapshot.outlook,
            "number": snapshot.party,
            "fault": snapshot.fault or self._pcms[snapshot.line].fault,
        }

    def _line_counters(self, line: int) -> LineCounters:
        """Plain counters of the voice thread, read beside it."""
        end = next(path.end for path in self._paths if path.end.line == line)
        return LineCounters(end.ppm, end.gaps, end.drops, self._pcms[line].stats.xruns)

    async def _watch_sound(self) -> None:
        """What the sound devices tell nobody: a fault that came or went, a delay that had to grow."""
        watch = SoundWatch(self._pcms)
        while True:
            await asyncio.sleep(watch.EVERY_SECONDS)
            for line, pcm in self._pcms.items():
                self._voices[line].set_reference_delay(pcm.delay_frames)
            for line in watch.news():
                self._line_changed(self._handsets[line].snapshot())

    # --- the line doctor -----------------------------------------------------------------

    def _tap(self, line: int, sink: Sink | None) -> None:
        self._voices[line].tap = sink

    def _examine(self, recording: Recording, examined: Examined) -> None:
        async def examine() -> None:
            try:
                report = await examine_apart(recording, _humbly)
            except (ServiceError, OSError) as error:
                examined(None, str(error))
            else:
                examined(report, "")

        self._start(examine())

    def doctor(self) -> DoctorRow:
        """See LiveBox."""
        return self._doctor.row

    def start_doctor(self, line: int) -> None:
        """See LiveBox."""

        async def start() -> None:
            self._doctor.start(line)

        asyncio.run_coroutine_threadsafe(start(), self._loop).result(5)

    def stop_doctor(self) -> None:
        """See LiveBox."""
        self._later(self._doctor.stop)

    # --- speech --------------------------------------------------------------------------

    async def _prepare_speech(self) -> None:
        """Load the sentences; have a process of its own speak those that are missing, then load again."""
        await self._load_speech()
        await self._speaker.prepare(self._settings.calls.warn_seconds)
        language = self._settings.box.language
        stamp = self._data / "announcements" / language / ".version"
        if await self._loop.run_in_executor(None, self._spoken_already, stamp):
            _log.info("%d announcements ready, as they were", len(self._speech))
            return
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firmware.telephony.announcements"),
            *(str(self._data / "announcements"), language),
            stdin=asyncio.subprocess.DEVNULL,
            preexec_fn=_humbly,
        )
        if await process.wait() != 0:
            _log.warning("the announcements could not be spoken; tones serve instead")
        else:
            await self._loop.run_in_executor(None, stamp.write_text, __version__)
        await self._load_speech()
        _log.info("%d announcements ready", len(self._speech))

    def _spoken_already(self, stamp: Path) -> bool:
        """Whether this version has made every sentence, and all of them could be read."""
        try:
            return len(self._speech) == len(ev.Words) and stamp.read_text(encoding="utf-8") == __version__
        except (OSError, ValueError):
            return False

    async def _load_speech(self) -> None:
        folder, language = self._data / "announcements", self._settings.box.language
        code = self._office.setup_code.digits

        def load() -> dict[tuple[ev.Words, str], bytes]:
            wanted = [(words, code if words is ev.Words.SETUP_CODE else "") for words in ev.Words]
            found = {key: announcements.load(key[0], language, folder, key[1]) for key in wanted}
            return {key: pcm for key, pcm in found.items() if pcm is not None}

        self._speech = await self._loop.run_in_executor(None, load)

    def _speech_for(self, words: ev.Words, digits: str) -> bytes | None:
        return self._speech.get((words, digits))

    def codecs(self) -> tuple[str, ...]:
        """See LiveBox."""
        return self._codecs

    def setup_code_changed(self) -> None:
        """See LiveBox."""
        self._later(lambda: self._start(self._load_speech()))

    # --- SIP -----------------------------------------------------------------------------

    def _agent_event(self, event: sip.AgentEvent) -> None:
        match event:
            case sip.AgentStarted(port, codecs):
                self._sip = {"state": "up", "detail": f"port {port}"}
                self._codecs = codecs
                for account, missing in missing_codecs(self._settings, codecs):
                    _log.warning("account %s: this build of the SIP stack has no %s", account, ", ".join(missing))
                self._bridge.set_bridge(self._agent.bridge())
                self._agent.set_accounts(accounts.enabled(self._settings))
                _log.info("SIP on port %d", port)
            case sip.AgentFailed(detail):
                self._sip = {"state": "down", "detail": detail}
                _log.error("SIP: %s", detail)
                # A mistyped address or port must not cost the telephone: try once without those settings.
                self.restart = Restart.PLAIN_SIP if not self._plain_sip else Restart.NO
                self.failed = self._plain_sip
                self._stopped.set()
            case _:
                self._switchboard.agent_event(event)
        if isinstance(event, sip.RegistrationChanged):
            self._registration(event)
        if isinstance(event, sip.CallDisconnected) and self._beyond and self._switchboard.quiet:
            self._beyond = False
            self._agent.set_accounts(accounts.enabled(self._settings))

    def _registration(self, event: sip.RegistrationChanged) -> None:
        entry = self._switchboard.registrations.get(event.account)
        if entry is not None:
            entry.since = self._clock.wall().isoformat(timespec="seconds")
        said = "registered" if event.registered else "not registered"
        _log.info("account %s: %s (%d %s)", event.account, said, event.sip_code, event.reason)
        self._tell("account", {"name": event.account, "registered": event.registered, "reason": event.reason})
        if event.registered and self._last_good.differs(self._settings):
            self._loop.run_in_executor(None, self._last_good.keep, self._settings)

    def _outlook(self, registrations: Mapping[str, Registration]) -> ev.Outlook:
        expected = [account.name for account in self._settings.account if account.register_]
        return accounts.outlook_of(registrations, expected)

    def _emergency_accounts(self) -> Sequence[str]:
        """Accounts beyond the settings that an emergency may try; the agent learns them now."""
        present = accounts.enabled(self._settings)
        beyond = self._last_good.beyond(self._settings, _MAX_ACCOUNTS - len(present))
        if beyond:
            self._beyond = True
            self._agent.set_accounts([*present, *beyond])
        return [account.name for account in beyond]

    def quotes(self, dialled: numbering.Dialled, line: int, pin: str | None = None) -> Sequence[Quote]:
        """Ask rates and budgets for one quote an account (calls.Tariff)."""
        registered = {name: entry.registered for name, entry in self._switchboard.registrations.items()}
        try:
            quotes = self._tariffs.quotes(dialled, registered, line, pin=pin)
        except Exception:  # noqa: BLE001 - a broken rate deck must not silence the telephone, nor open a bar
            _log.exception("rates failed; the call goes unpriced")
            quotes = self._budgets.unpriced(dialled, registered, line, pin)
        self._budgets.quoted(dialled, line, quotes)
        return quotes

    def _said_above(self) -> Decimal | None:
        return self._settings.calls.said_above()

    def _call_times(self) -> CallSettings:
        return CallSettings(warnings=tuple(map(float, self._settings.calls.warn_seconds)))

    # --- LiveBox: asked from other threads -----------------------------------------------

    def lines(self) -> list[LineRow]:
        """See LiveBox."""
        return [self._line_row(handset.snapshot()) for handset in self._handsets.values()]

    def registration(self, account: str) -> tuple[bool, int, str, str | None]:
        """See LiveBox."""
        entry = self._switchboard.registrations.get(account)
        return (False, 0, "", None) if entry is None else (entry.registered, entry.sip_code, entry.reason, entry.since)

    def process(self, role: str) -> ProcessRow:
        """See LiveBox."""
        if role == "sip":
            return self._sip
        state, detail = self._hub.listening(role)
        return {"state": state, "detail": detail}

    def apply(self, settings: Settings) -> None:
        """See LiveBox."""
        self._later(self._apply, settings)

    def _apply(self, settings: Settings) -> None:
        before, self._settings = self._settings, settings
        self._rings = self._ring_rules(settings)
        self._budgets.apply(settings)
        self._tariffs.choice = _choice(settings)
        self._book.set_zone(settings.box.timezone)
        if before.account != settings.account:
            present = accounts.enabled(settings)
            self._agent.set_accounts(present)
            self._switchboard.accounts_changed([account.name for account in present])
            if any(entry.registered for entry in self._switchboard.registrations.values()):
                self._loop.run_in_executor(None, self._last_good.keep, settings)
        spoken = [(one.box.language, one.calls.warn_seconds) for one in (before, settings)]
        if spoken[0] != spoken[1]:
            self._start(self._prepare_speech())
        built, wanted = ((accounts.without_rings(one.line), one.sip, one.box.country) for one in (before, settings))
        if built != wanted:
            _log.info("line, SIP or country changed: the core starts afresh as soon as the line is free")
            self._start(self._restart_when_quiet())

    async def _restart_when_quiet(self) -> None:
        """Everything is built for one country and one line: start afresh, but never under somebody's call."""
        await asyncio.sleep(0.5)  # the page's answer first
        while not (self._switchboard.quiet and all(handset.idle for handset in self._handsets.values())):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        self.restart = Restart.AS_IT_IS
        self._stopped.set()

    def register_now(self, account: str, seconds: float) -> None:
        """See LiveBox."""
        asked = asyncio.run_coroutine_threadsafe(self._register_now(account, seconds), self._loop)
        with contextlib.suppress(TimeoutError):
            asked.result(seconds + 1)

    async def _register_now(self, account: str, seconds: float) -> None:
        queue = self._hub.subscribe("", "")
        try:
            self._agent.register_now(account)
            async with asyncio.timeout(seconds):
                while True:
                    event = await queue.get()
                    data = event["data"]
                    if event["kind"] == "account" and data.get("name") == account and data["reason"] != REGISTERING:
                        return
        except TimeoutError:
            return
        finally:
            self._hub.unsubscribe(queue)

    def ring_test(self, line: int) -> bool:
        """See LiveBox."""

        async def ring() -> bool:
            return self._switchboard.ring_test(line)

        return asyncio.run_coroutine_threadsafe(ring(), self._loop).result(5)

    def spent(self, caps: Sequence[Cap]) -> list[Spent] | None:
        """See LiveBox."""

        async def spent() -> list[Spent] | None:
            return self._budgets.spent(caps)

        return asyncio.run_coroutine_threadsafe(spent(), self._loop).result(5)

    def trace(self, limit: int) -> list[TraceRow]:
        """See LiveBox."""
        return [
            {
                "at": message.at,
                "outgoing": message.outgoing,
                "peer": message.peer,
                "summary": message.summary,
                "call_id": message.call_id,
                "text": message.text,
            }
            for message in self._agent.trace(limit)
        ]

    def published(self, kind: str) -> None:
        """See LiveBox."""
        self._later(self._hub.publish, kind, {})

    def _told_of_calls(self, kind: str, data: Mapping[str, object]) -> None:
        """Publish; a call that is over, or measured, says what its account is like."""
        self._tell(kind, data)
        if kind == "call" and data.get("state") in {"ended", "measured"}:
            self._later(self._learn_standings)

    def _learn_standings(self) -> None:
        learnt = self._loop.run_in_executor(None, self._standings.learn, self._ledger)
        learnt.add_done_callback(_note_failure)

    def _tell(self, kind: str, data: Mapping[str, object]) -> None:
        """Publish from the loop or from any other thread."""
        self._later(self._hub.publish, kind, data)


def _note_failure(learnt: asyncio.Future[None]) -> None:
    if not learnt.cancelled() and learnt.exception() is not None:
        _log.warning("what the accounts' calls were like cannot be read: %s", learnt.exception())


def _choice(settings: Settings) -> Choice:
    """How accounts are compared, and from which price on a call is announced."""
    calls = settings.calls
    return Choice(
        calls.expected_seconds, calls.quality_weight, calls.reliability_weight, announce_above=calls.said_above()
    )


def _humbly() -> None:
    """In a helper process, before exec: not the core's real-time priority, and after everybody else."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(19)
