"""espeak-ng behind a process of its own: a sentence in, telephone samples out.

Starting a program costs the core dearly: to copy itself holds up every thread for 8 ms, to be held until another
program runs (as posix_spawn does) for as long as a busy machine likes. So the core starts one small process when
there is something to say, asks it sentence by sentence, and starts espeak-ng from there. It ends by itself after a
while without work, and with the core. Its work never holds the core's interpreter.

A question is a line of JSON, `{"text", "language"}`; the answer a line `{"bytes": N}` and so many bytes of samples,
or `{"error": why}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import FileIO
from typing import cast

from firmware.fxs.dsp.level import FULL_SCALE, amplitude
from firmware.fxs.dsp.speexdsp import resample
from firmware.fxs.dsp.vectors import Block, peak
from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.telephony import announcements

IDLE_SECONDS = 300.0
_SPEAK_SECONDS = 20.0
_HEADER = struct.Struct("<4s20xI16x")  # a WAV as espeak-ng streams it: its sizes mean nothing
_MOST_BYTES = 30 * 22_050 * 2
_MOST_LINE = 4096
_LOUDEST = 32_000
_PIECE = SAMPLE_RATE_HZ // 100
_AUDIBLE = 10 ** (-30 / 20)


class VoiceProcess:
    """The core's end. `humbly` is done in the new process before anything else (priorities)."""

    def __init__(self, program: str, humbly: Callable[[], object] | None = None) -> None:
        self._command = [sys.executable, "-m", "firmware.voiceprocess", program]
        self._humbly = humbly
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def say(self, text: str, language: str, seconds: float) -> bytes:
        """Samples of a sentence. For a thread that may wait, `seconds` at most.

        Raises OSError, TimeoutError, ValueError: nothing came, or nothing useful.
        """
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=seconds):
            raise TimeoutError("other sentences are being spoken")
        try:
            question = {"text": text, "language": language}
            try:
                return self._ask(question, deadline)
            except _GoneError:  # it had just ended, for want of work
                self._end()
                return self._ask(question, deadline)
        except UnsaidError:
            raise
        except BaseException:
            self._end()  # whatever it still says must not be taken for an answer to the next
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process, if there is one. It may be asked again."""
        with self._turn:
            self._end()

    def _ask(self, question: dict[str, str], deadline: float) -> bytes:
        process = self._process
        if process is None or process.poll() is not None:
            self._end()
            self._process = process = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                preexec_fn=self._humbly,  # noqa: PLW1509 - as every process that the core starts
                process_group=0,  # with what it starts
            )
        asked, told = cast("FileIO", process.stdin), cast("FileIO", process.stdout)
        try:
            asked.write(json.dumps(question).encode() + b"\n")
        except BrokenPipeError:
            raise _GoneError from None
        kept = bytearray()
        while b"\n" not in kept:
            kept += _block(told, deadline)
            if len(kept) > _MOST_LINE and b"\n" not in kept:
                raise ValueError("no answer of the voice's process")
        line, _, rest = bytes(kept).partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise UnsaidError(str(answer["error"]))
        wanted = int(answer["bytes"])
        said = bytearray(rest)
        while len(said) < wanted:
            said += _block(told, deadline)
        return bytes(said)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class UnsaidError(ValueError):
    """espeak-ng could not, in the process's words."""


class _GoneError(ValueError):
    """The process is not there any more."""

    def __str__(self) -> str:
        return "the voice's process has ended"


def _block(pipe: FileIO, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([pipe], [], [], left)[0]:
        raise TimeoutError("no words in time")
    block = pipe.read(1 << 16)
    if not block:
        raise _GoneError
    return block


# --- in the process -------------------------------------------------------------------------


def telephone_speech(wav: bytes) -> bytes:
    """espeak-ng's WAV (16 bit, mono) as 8 kHz samples: active speech at -20 dBm0, silent ends cut.

    Native code for all that is long. Raises ValueError for what is no such WAV, or is silent.
    """
    if len(wav) <= _HEADER.size or len(wav) > _MOST_BYTES + _HEADER.size:
        raise ValueError(f"{len(wav)} bytes are no sentence")
    riff, rate = _HEADER.unpack_from(wav)
    if riff != b"RIFF" or not SAMPLE_RATE_HZ <= rate <= 6 * SAMPLE_RATE_HZ:
        raise ValueError("what espeak-ng wrote is no WAV")
    raw = wav[_HEADER.size :]
    pcm = resample(raw[: len(raw) // 2 * 2], rate, SAMPLE_RATE_HZ)
    return levelled(pcm)


def levelled(pcm: bytes) -> bytes:
    """8 kHz samples with active speech at -20 dBm0, no clipping, silent ends cut to 10 ms. ValueError for silence.

    Piece by piece: one call over a whole sentence would hold the interpreter for milliseconds.
    """
    pieces = [pcm[at : at + 2 * _PIECE] for at in range(0, len(pcm) - 2 * _PIECE + 1, 2 * _PIECE)]
    loudest = peak(pcm)
    active = [n for n, piece in enumerate(pieces) if peak(piece) > loudest * _AUDIBLE]
    if not active:
        raise ValueError("espeak-ng said nothing")
    energy = sum(Block.of(pieces[n]).energy(0, _PIECE) for n in active) / len(active) / _PIECE
    wanted = amplitude(announcements.SPEECH_DBM0) / 2**0.5
    gain = min(wanted / energy**0.5, _LOUDEST / min(loudest, FULL_SCALE))
    said = []
    for piece in pieces[active[0] : active[-1] + 1]:
        block = Block.of(piece)
        block.scale(gain)
        said.append(block.pcm())
    return b"".join(said)


def answer(question: bytes, program: str) -> bytes:
    """What the process says to one line."""
    try:
        asked = json.loads(question)
        command = [program, *announcements.voice_arguments(str(asked["language"]))]
        text = str(asked["text"]).encode()
        done = subprocess.run(command, input=text, capture_output=True, timeout=_SPEAK_SECONDS, check=False)
        if done.returncode:
            return _told(error=f"{program} ended with {done.returncode}")
        pcm = telephone_speech(done.stdout)
    except FileNotFoundError:
        return _told(error=f"{program} is not installed: apt install espeak-ng")
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        return _told(error=str(error)[:200] or type(error).__name__)
    return _told(bytes=len(pcm)) + pcm


def _told(**answer: object) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def main() -> None:
    """Answer questions until there have been none for IDLE_SECONDS, or nobody is left to ask."""
    program = sys.argv[1]
    asked, told = FileIO(0, "rb", closefd=False), FileIO(1, "wb", closefd=False)
    kept = b""
    while select.select([asked], [], [], IDLE_SECONDS)[0]:
        block = asked.read(1 << 16)
        if not block:
            return
        *lines, kept = (kept + block).split(b"\n")
        for line in lines:
            said = memoryview(answer(line, program))
            while said:
                said = said[told.write(said) :]


if __name__ == "__main__":
    main()
