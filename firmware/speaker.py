"""What is said of money, made while the telephone waits for it: prices, what is left, how long a call still has.

These sentences cannot be known before they are wanted, so espeak-ng speaks each one when it is, in a process of
its own; its samples are resampled and levelled by native code on the loop's pool, and the last ones are kept. On
the loop nothing waits. Where no words come in time (no espeak-ng, no memory, a machine at its end) there are beeps:
the handset is told that there is something to tell, and the call goes on. Nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable

from firmware.fxs.country import Component, Country
from firmware.fxs.dsp.level import FULL_SCALE, amplitude
from firmware.fxs.dsp.speexdsp import resample
from firmware.fxs.dsp.vectors import Block, peak
from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.tones import burst
from firmware.telephony import announcements, moneywords
from firmware.telephony.events import Announce

_log = logging.getLogger("allobox.speech")
PATIENCE_SECONDS = 2.5
"""How long a lifted handset waits in silence for words."""
_PREPARE_SECONDS = 30.0
_KEPT = 12
_AT_ONCE = 2
_HEADER = struct.Struct("<4s20xI16x")  # a WAV as espeak-ng streams it: its sizes mean nothing
_MOST_BYTES = 30 * 22_050 * 2
_LOUDEST = 32_000
_PIECE = SAMPLE_RATE_HZ // 100
_AUDIBLE = 10 ** (-30 / 20)
_SILENCE = (0).to_bytes(2, "little") * SAMPLE_RATE_HZ
_BEEP_HZ, _BEEP_MS, _GAP_MS = 800, 180, 120
_BETWEEN_MS = 350


class Speaker:
    """`handset.MoneySpeech` for every line of a box. `start` runs a coroutine; `humbly` is done in the new process."""

    def __init__(
        self,
        home: Country,
        *,
        language: Callable[[], str],
        start: Callable[[Coroutine[object, object, None]], object],
        humbly: Callable[[], object] | None = None,
        program: str = "espeak-ng",
    ) -> None:
        self._language = language
        self._start = start
        self._humbly = humbly
        self._program = program
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._warnings: dict[tuple[str, str], bytes] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._told_trouble = ""
        # As loud as the country's own tone into a conversation.
        waiting = home.tones["call-waiting"]
        dbm0 = max(part.dbm0 for segment in waiting.loop_segments() for part in segment.components)
        tone = burst((Component(_BEEP_HZ, dbm0),), _BEEP_MS)
        self._beep = tone + _silence(_GAP_MS) + tone + _silence(_GAP_MS)
        self._unsaid = (tone + _silence(_GAP_MS)) * 3 + _silence(2000)

    # --- handset.MoneySpeech -----------------------------------------------------------------

    def price(self, announce: Announce, told: Callable[[bytes], object]) -> None:
        """Have the price and what is left said; `told` gets samples within PATIENCE_SECONDS, beeps if need be."""
        language = self._language()
        texts = [moneywords.price(announce, language)]
        rest = moneywords.left(announce, language)
        texts += [rest] if rest is not None else []
        kept = [self._kept.get((language, text)) for text in texts]
        if None not in kept:
            told(self._joined(kept))
        else:
            self._start(self._price(texts, language, told))

    def warning(self, seconds: float) -> bytes:
        """Two beeps, and how long there still is if that has been prepared."""
        language = self._language()
        said = self._warnings.get((language, moneywords.ends_in(seconds, language)))
        return self._beep + (said or b"")

    async def prepare(self, warnings: Iterable[float]) -> None:
        """Have the warnings' words ready, before a call needs them."""
        language = self._language()
        # The first asks the catalogue from the disk, which the loop must not wait for.
        later = asyncio.get_running_loop().run_in_executor
        wanted = [await later(None, moneywords.ends_in, seconds, language) for seconds in warnings]
        self._warnings = {key: pcm for key, pcm in self._warnings.items() if key in {(language, t) for t in wanted}}
        for text in wanted:
            if (language, text) not in self._warnings:
                pcm = await self._said(text, language, _PREPARE_SECONDS)
                if pcm is not None:
                    self._warnings[language, text] = pcm

    # --- inside ------------------------------------------------------------------------------

    async def _price(self, texts: list[str], language: str, told: Callable[[bytes], object]) -> None:
        told(self._joined(await asyncio.gather(*(self._said(text, language, PATIENCE_SECONDS) for text in texts))))

    def _joined(self, said: list[bytes | None]) -> bytes:
        """The price first: without it there are beeps, and what is left then says nothing."""
        if not said or said[0] is None:
            return self._unsaid
        return _silence(_BETWEEN_MS).join(part for part in said if part)

    async def _said(self, text: str, language: str, seconds: float) -> bytes | None:
        """The sentence's samples, from memory or from espeak-ng; None if it did not come in time."""
        key = (language, text)
        pcm = self._kept.get(key)
        if pcm is None:
            try:
                async with asyncio.timeout(seconds), self._turns:
                    pcm = await self._speak(text, language)
            except (TimeoutError, OSError, ValueError) as error:
                self._trouble(str(error) or f"nothing within {seconds:g} s")
                return None
        self._told_trouble = ""
        self._kept[key] = pcm
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return pcm

    def _trouble(self, why: str) -> None:
        """Once, not at every call."""
        if why != self._told_trouble:
            self._told_trouble = why
            _log.warning("a price could not be spoken, beeps serve instead: %s", why)

    async def _speak(self, text: str, language: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            self._program,
            *announcements.voice_arguments(language),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=self._humbly,
        )
        try:
            spoken, _ = await process.communicate(text.encode())
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise ValueError(f"{self._program} ended with {process.returncode}")
        return await asyncio.get_running_loop().run_in_executor(None, telephone_speech, spoken)


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
    """8 kHz samples with active speech at -20 dBm0, no clipping, silent ends cut to 10 ms. ValueError for silence."""
    pieces = [pcm[at : at + 2 * _PIECE] for at in range(0, len(pcm) - 2 * _PIECE + 1, 2 * _PIECE)]
    loudest = peak(pcm)
    active = [n for n, piece in enumerate(pieces) if peak(piece) > loudest * _AUDIBLE]
    if not active:
        raise ValueError("espeak-ng said nothing")
    block = Block.of(b"".join(pieces[active[0] : active[-1] + 1]))
    energy = sum(block.energy((n - active[0]) * _PIECE, _PIECE) for n in active) / len(active) / _PIECE
    wanted = amplitude(announcements.SPEECH_DBM0) / 2**0.5
    block.scale(min(wanted / energy**0.5, _LOUDEST / min(loudest, FULL_SCALE)))
    return block.pcm()


def _silence(ms: int) -> bytes:
    return _SILENCE[: SAMPLE_RATE_HZ * ms // 1000 * 2] if ms <= 1000 else _SILENCE * (ms // 1000)  # noqa: PLR2004
