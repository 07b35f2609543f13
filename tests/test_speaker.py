"""Words made while a telephone waits for them: real espeak-ng, and every way in which it can fail."""

from __future__ import annotations

import array
import asyncio
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path

import pytest

from firmware import speaker
from firmware.fxs import country
from firmware.fxs.dsp.level import dbm0_of_power, power
from firmware.speaker import Speaker
from firmware.telephony.events import Announce
from firmware.voiceprocess import VoiceProcess, levelled, telephone_speech

CALL = Announce(Decimal("0.34"), "minute", "EUR", Decimal("0.18"), Decimal("4.20"))
FRANCE = country.load("FR")


def run(work: Callable[[Speaker], Coroutine[object, object, None]], language: str = "fr", **more: object) -> None:
    async def main() -> None:
        tasks: set[asyncio.Task[None]] = set()

        def start(coroutine: Coroutine[object, object, None]) -> None:
            tasks.add(asyncio.get_running_loop().create_task(coroutine))

        of = Speaker(FRANCE, language=lambda: language, start=start, **more)  # type: ignore[arg-type]
        try:
            await work(of)
        finally:
            of.shut()

    asyncio.run(main())


async def said(of: Speaker, call: Announce = CALL) -> bytes:
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    of.price(call, told.set_result)
    return await told


def level(pcm: bytes) -> float:
    """Of the loud 10 ms pieces."""
    samples = array.array("h", pcm)
    pieces = [samples[at : at + 80] for at in range(0, len(samples) - 79, 80)]
    peak = max(map(abs, samples))
    loud = [power(piece) for piece in pieces if max(map(abs, piece)) > peak / 32]
    return dbm0_of_power(sum(loud) / len(loud))


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_price_is_spoken_at_the_level_of_a_telephone_and_the_second_time_at_once(language: str) -> None:
    async def work(of: Speaker) -> None:
        pcm = await said(of)
        assert 3 < len(pcm) / 16000 < 12
        assert level(pcm) == pytest.approx(-20, abs=1.5)
        told: list[bytes] = []
        of.price(CALL, told.append)
        assert told == [pcm]

    run(work, language)


def test_what_is_left_follows_the_price_after_a_breath() -> None:
    async def work(of: Speaker) -> None:
        both = await said(of)
        alone = await said(of, Announce(CALL.price, "minute", "EUR", CALL.fee))
        assert both.startswith(alone)
        assert not any(both[len(alone) : len(alone) + 4800])
        assert len(both) > len(alone) + 16000

    run(work)


def test_the_warnings_have_beeps_at_once_and_words_once_they_are_prepared() -> None:
    async def work(of: Speaker) -> None:
        beeps = of.warning(60)
        assert 0.4 < len(beeps) / 16000 < 0.8
        await of.prepare((60, 10))
        assert of.warning(60).startswith(beeps)
        assert len(of.warning(60)) > len(beeps) + 8000
        assert of.warning(10) != of.warning(60)
        assert of.warning(30) == beeps

    run(work)


def test_without_espeak_there_are_beeps_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def work(of: Speaker) -> None:
        pcm = await said(of)
        assert any(pcm)
        assert len(pcm) / 16000 == pytest.approx(2.9, abs=0.2)
        assert await said(of) == pcm
        await of.prepare((60, 10))
        assert any(of.warning(60))

    run(work, program="/nowhere/espeak-ng")
    assert len([r for r in caplog.records if "beeps serve instead" in r.message]) == 1


def ended(pid: str) -> bool:
    """Whether a process is no more, but for its parent to notice."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] == "Z"


def script(folder: Path, body: str) -> str:
    path = folder / "espeak-ng"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_espeak_that_hangs_costs_its_patience_and_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "PATIENCE_SECONDS", 0.5)
    pid = tmp_path / "pid"
    program = script(tmp_path, f"import os,time; open({str(pid)!r},'w').write(str(os.getpid())); time.sleep(60)")

    async def work(of: Speaker) -> None:
        began = time.monotonic()
        assert await said(of, Announce(CALL.price, "minute", "EUR")) == of._unsaid
        assert time.monotonic() - began < 20
        if pid.exists() and pid.read_text():
            for _ in range(100):
                if ended(pid.read_text()):
                    return
                await asyncio.sleep(0.05)
            pytest.fail("it hangs on")

    run(work, program=program)


@pytest.mark.parametrize(
    "body",
    [
        "import sys; sys.exit(3)",
        "print('rubbish' * 100)",
        "import sys; sys.stdout.buffer.write(b'RIFF' + bytes(2000))",
        "import sys,struct; sys.stdout.buffer.write(struct.pack('<4s20xI16x', b'RIFF', 22050) + bytes(44100))",
        "import sys,struct; sys.stdout.buffer.write(struct.pack('<4s20xI16x', b'RIFF', 22050) + b'ab' * 2000000)",
    ],
    ids=["fails", "rubbish", "no rate", "silence", "endless"],
)
def test_an_espeak_that_says_no_sentence_gives_beeps(tmp_path: Path, body: str) -> None:
    async def work(of: Speaker) -> None:
        assert await said(of) == of._unsaid

    run(work, program=script(tmp_path, body))


def test_a_voice_that_has_ended_for_want_of_work_is_begun_again() -> None:
    voice = VoiceProcess("espeak-ng")
    try:
        first = voice.say("Bonjour.", "fr", 20)
        process = voice._process
        assert process is not None
        process.kill()
        process.wait()
        assert voice.say("Bonjour.", "fr", 20) == first
        # Ended, and not noticed yet.
        process = voice._process
        assert process is not None
        process.kill()
        process.wait()
        process.returncode = None
        assert voice.say("Bonjour.", "fr", 20) == first
        assert voice._process is not process
    finally:
        voice.close()


def test_a_voice_ends_with_whoever_asked_it() -> None:
    voice = VoiceProcess("espeak-ng")
    voice.say("Bonjour.", "fr", 20)
    process = voice._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    voice.close()


def test_sentences_of_two_lines_at_once_are_not_mixed_up() -> None:
    async def work(of: Speaker) -> None:
        other = Announce(Decimal("0.80"), "minute", "EUR")
        together = await asyncio.gather(said(of), said(of, other))
        of._kept.clear()
        assert list(together) == [await said(of), await said(of, other)]

    run(work)


def test_what_is_kept_is_bounded() -> None:
    async def work(of: Speaker) -> None:
        for cents in range(20):
            await said(of, Announce(Decimal(cents + 16) / 100, "minute", "EUR"))
        assert len(of._kept) == 12

    run(work)


def test_levelling_neither_clips_nor_takes_silence() -> None:
    with pytest.raises(ValueError, match="nothing"):
        levelled(bytes(16000))
    with pytest.raises(ValueError, match="nothing"):
        levelled(b"")
    click = bytearray(16000)
    click[8000:8002] = struct.pack("<h", 30000)
    assert max(map(abs, array.array("h", levelled(bytes(click))))) <= 32000
    with pytest.raises(ValueError, match="no sentence"):
        telephone_speech(b"RIFF")


def test_the_loop_and_other_threads_go_on_while_words_are_made() -> None:
    """Not asserted in milliseconds: that many turns were had at all."""
    turns = 0
    over = threading.Event()

    def count() -> None:
        nonlocal turns
        while not over.wait(0.001):
            turns += 1

    async def work(of: Speaker) -> None:
        thread = threading.Thread(target=count)
        thread.start()
        try:
            await said(of)
        finally:
            over.set()
            thread.join()
        assert turns > 5

    run(work)
