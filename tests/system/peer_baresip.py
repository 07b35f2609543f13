"""baresip as somebody at the other end: registers, calls, answers, plays a recording and keeps what it hears."""

from __future__ import annotations

import json
import re
import socket
import time
import wave
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.system import fetch
from tests.system.peer_process import LOOPBACK, PeerError, PeerProcess, free_port, listens, wait_until

_CONFIGURATION = """
poll_method epoll
sip_listen {host}:{port}
{trust}
call_local_timeout 120
call_max_calls 4
audio_path {folder}
audio_source {source}
audio_player aubridge,{player}
audio_alert aubridge,alert
audio_level no
audio_buffer 20-160
rtp_tos 184
rtp_ports 20000-60000
rtcp_mux no
jitter_buffer_delay {jitter}
net_interface {host}
module_path {modules}
module ctrl_tcp.so
module g711.so
module g722.so
module aufile.so
module aubridge.so
{recorder}
module_tmp account.so
module_app menu.so
ctrl_tcp_listen {host}:{control}
snd_path {folder}
redial_attempts 0
statmode_default off
"""
_TAIL_SECONDS = 300


class Baresip:
    """`with Baresip("bob", "secret", "127.0.0.1:5060") as bob:` a telephone registered at a registrar.

    `audio`: a WAV file (8 kHz, mono, 16 bit) to say once a call is up, or "echo" to give back what
    is heard, or "silence". What is heard is kept: `heard()`. `answer=True` answers at once, False
    waits for `answer()`. `registrar=""` does not register: `sip:USER@127.0.0.1:PORT` reaches it.
    """

    def __init__(
        self,
        user: str,
        password: str = "",
        registrar: str = "",
        *,
        answer: bool = True,
        audio: Path | str = "silence",
        domain: str = "allobox.test",
        auth_user: str = "",
        transport: str = "udp",
        codecs: str = "pcma",
        ca_file: Path | None = None,
        display_name: str = "",
        jitter_frames: str = "0-5",
        record: bool = True,
        register_seconds: int = 60,
        wait_registered: bool = True,
    ) -> None:
        root = fetch.ensure("baresip")
        self.user, self.domain = user, domain
        self._wait_registered = bool(registrar) and wait_registered
        self.port, self._control_port = free_port(), free_port()
        self._peer = PeerProcess("baresip", [], environment=fetch.environment())
        folder = self.folder = self._peer.folder
        self._link: socket.socket | None = None
        self._pending = b""
        self._events: list[dict[str, Any]] = []
        self._answers: dict[str, dict[str, Any]] = {}
        (folder / "config").write_text(
            _CONFIGURATION.format(
                host=LOOPBACK,
                port=self.port,
                trust=f"sip_cafile {ca_file}" if ca_file else "",
                folder=folder,
                source=self._source(audio),
                player="line" if audio == "echo" else "ear",
                jitter=jitter_frames,
                modules=root / "usr/lib/baresip/modules",
                control=self._control_port,
                recorder="module sndfile.so" if record else "",
            )
        )
        options = [f"answermode={'auto' if answer else 'manual'}", f"audio_codecs={codecs}"]
        if registrar:
            options += [f'outbound="sip:{registrar};transport={transport}"', f"regint={register_seconds}"]
            options += [f"auth_user={auth_user or user}", f"auth_pass={password}"]
        else:
            options.append("regint=0")
        name = f'"{display_name}" ' if display_name else ""
        accounts = folder / "accounts"
        accounts.touch(mode=0o600)
        accounts.write_text(f"{name}<sip:{user}@{domain};transport={transport}>;{';'.join(options)}\n")
        self._peer.command = [str(root / "usr/bin/baresip"), "-f", str(folder), "-v"]

    def _source(self, audio: Path | str) -> str:
        """baresip's audio source. A file is given a tail of silence: at its end baresip would hang up."""
        if audio in {"echo", "silence"}:
            return f"aubridge,{'line' if audio == 'echo' else 'mouth'}"
        with wave.open(str(audio), "rb") as given:
            shape = (given.getframerate(), given.getnchannels(), given.getsampwidth())
            samples = given.readframes(given.getnframes())
        if shape != (8000, 1, 2):
            msg = f"{audio}: baresip is to say 8000 Hz, mono, 16 bit; this has {shape}"
            raise ValueError(msg)
        said = self.folder / "said.wav"
        with wave.open(str(said), "wb") as padded:
            padded.setnchannels(1)
            padded.setsampwidth(2)
            padded.setframerate(8000)
            padded.writeframes(samples + bytes(16000 * _TAIL_SECONDS))
        return f"aufile,{said}"

    # --- what it does -----------------------------------------------------------------------

    def dial(self, target: str) -> None:
        """Call a number or user of the registrar's domain, or a whole `sip:` URI."""
        self.command("dial", target if target.startswith("sip:") else f"sip:{target}@{self.domain}")

    def answer(self) -> None:
        """Take the call that rings."""
        self.command("accept")

    def hangup(self) -> None:
        """End or refuse the call."""
        self.command("hangup")

    def hold(self) -> None:
        """Put the far end on hold (re-INVITE)."""
        self.command("hold")

    def resume(self) -> None:
        """Take it back."""
        self.command("resume")

    def send_digits(self, digits: str) -> None:
        """Send digits into the call (RFC 4733)."""
        for digit in digits:
            self.command("sndcode", digit)

    def command(self, name: str, parameters: str = "", *, seconds: float = 10) -> str:
        """One of baresip's commands by its control port; what it prints. PeerError if refused."""
        if self._link is None:
            raise PeerError("baresip is not running")
        token = f"t{time.monotonic_ns()}"
        text = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._link.sendall(b"%d:%s," % (len(text), text))
        self._read(lambda: token in self._answers, seconds, f"an answer to {name!r}")
        answer = self._answers.pop(token)
        if not answer.get("ok"):
            self._peer.fail(f"baresip refused {name} {parameters}: {answer}")
        return str(answer.get("data", ""))

    # --- what it tells ----------------------------------------------------------------------

    def events(self) -> list[dict[str, Any]]:
        """All events so far, as baresip's JSON: `type` is CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED ..."""
        self._read(lambda: True, 0, "")
        return list(self._events)

    def wait(self, kind: str, seconds: float = 15, *, after: int = 0) -> dict[str, Any]:
        """The first event of type `kind` from the `after`th on; PeerError with the log after `seconds`."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self._events[after:] if event.get("type") == kind]

        self._read(lambda: bool(found()), seconds, kind)
        return found()[0]

    def registered(self) -> bool:
        """Whether it holds itself for registered now."""
        return bool(re.search(r"\x1b\[32mOK", self.command("reginfo")))

    def heard(self) -> list[Path]:
        """WAV files of what it heard (decoded, before the jitter buffer's playout), one a call, oldest first."""
        return sorted(self.folder.glob("dump-*dec.wav"), key=lambda path: path.stat().st_mtime)

    def said(self) -> list[Path]:
        """WAV files of what it said, one a call."""
        return sorted(self.folder.glob("dump-*enc.wav"), key=lambda path: path.stat().st_mtime)

    @property
    def uri(self) -> str:
        """Where it can be called without a registrar."""
        return f"sip:{self.user}@{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process, to measure."""
        return self._peer.pid

    def log(self) -> str:
        """The end of its log."""
        return self._peer.log()

    def _read(self, enough: Any, seconds: float, what: str) -> None:
        """Take messages from the control port until `enough()`; PeerError naming `what` after `seconds`."""
        link = self._link
        if link is None:
            return
        deadline = time.monotonic() + seconds
        while True:
            self._take()
            if enough() and what:
                return
            left = deadline - time.monotonic()
            link.settimeout(max(left, 0.001))
            try:
                block = link.recv(65536)
            except TimeoutError:
                if not what:
                    return
                if left <= 0:
                    self._peer.fail(f"baresip {self.user}: waited {seconds:g} s in vain for {what}")
                continue
            if not block:
                self._peer.fail(f"baresip {self.user} closed its control port")
            self._pending += block

    def _take(self) -> None:
        """Whole netstrings of what was received become events and answers."""
        while found := re.match(rb"(\d+):", self._pending):
            start, length = found.end(), int(found[1])
            if len(self._pending) < start + length + 1:
                return
            message = json.loads(self._pending[start : start + length])
            self._pending = self._pending[start + length + 1 :]
            if message.get("event"):
                self._events.append(message)
            elif "token" in message:
                self._answers[message["token"]] = message

    def __enter__(self) -> Self:
        self._peer.start(lambda: listens(self._control_port))
        self._link = socket.create_connection((LOOPBACK, self._control_port), timeout=10)
        if self._wait_registered:
            wait_until(self.registered, 15, f"baresip {self.user} to be registered")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._peer.__exit__(kind, error, trace)
