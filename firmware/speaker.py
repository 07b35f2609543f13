"""What is said of money, made while the telephone waits for it: prices, what is left, how long a call still has.

These sentences cannot be known before they are wanted: a process speaks each one when it is (`voiceprocess`), and
the last ones are kept. On the loop nothing waits. Where no words come in time (no espeak-ng, no memory, a machine
at its end) there are beeps: the handset is told that there is something to tell, and the call goes on. Nothing is
written to a disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable

from firmware.fxs.country import Component, Country
from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.tones import burst
from firmware.telephony import moneywords
from firmware.telephony.events import Announce
from firmware.voiceprocess import VoiceProcess

_log = logging.getLogger("allobox.speech")
PATIENCE_SECONDS = 2.5
"""How long a lifted handset waits in silence for words."""
_PREPARE_SECONDS = 30.0
_KEPT = 12
_SILENCE = (0).to_bytes(2, "little") * SAMPLE_RATE_HZ
_BEEP_HZ, _BEEP_MS, _GAP_MS = 800, 180, 120
_BETWEEN_MS = 350


class Speaker:
    """`handset.MoneySpeech` for every line of a box. `start` runs a coroutine; `humbly`: see `VoiceProcess`."""

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
        self._voice = VoiceProcess(program, humbly)
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._warnings: dict[tuple[str, str], bytes] = {}
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

    def shut(self) -> None:
        """End what speaks."""
        self._voice.close()

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
                async with asyncio.timeout(seconds):
                    later = asyncio.get_running_loop().run_in_executor
                    pcm = await later(None, self._voice.say, text, language, seconds)
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


def _silence(ms: int) -> bytes:
    return _SILENCE[: SAMPLE_RATE_HZ * ms // 1000 * 2] if ms <= 1000 else _SILENCE * (ms // 1000)  # noqa: PLR2004
