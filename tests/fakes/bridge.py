"""The library's bridge alone in a process of its own (the library lives once a process), ticked as fast as it goes.

`python -m tests.fakes.bridge` sends counted frames through the line's way into the bridge and prints, as
JSON, what a port joined to it heard and when. `wrong-layout` makes the port's proof fail; `wide` has a bridge of
16 kHz with two lines of it and one of 8, and prints the levels of two tones that the first one says.
"""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

import cmath
import json
import math
import struct
import sys
from typing import Any

from pjsua2 import pjsua2 as pj

from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, WIDE_RATE_HZ
from firmware.telephony.sip.line_port import BridgePort
from firmware.telephony.sip.native import MasterPort, Native, Port, SlotZero

FRAMES = 2000


class Ear(pj.AudioMediaPort):
    """Notes the frames that carry sound, each with the tick it came in."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = 0
        self.heard: list[tuple[int, int]] = []
        form = pj.MediaFormatAudio()
        form.init(pj.PJMEDIA_FORMAT_PCM, SAMPLE_RATE_HZ, 1, 10_000, 16)
        self.createPort("ear", form)

    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802 the library's name
        number = _number(bytes(frame.buf))
        if number:
            self.heard.append((self.tick, number))


def counted(number: int) -> bytes:
    """A frame that holds `number` in every sample's place, so that a frame pieced together is seen."""
    return struct.pack(f"<{FRAME_SAMPLES}h", *[(number * 7 + n) % 30_000 + 1 for n in range(FRAME_SAMPLES)])


def _number(frame: bytes) -> int:
    """The number of a counted frame, 0 of silence, -1 of anything else."""
    if len(frame) != FRAME_BYTES or frame == SILENCE:
        return 0
    first = (int.from_bytes(frame[:2], "little", signed=True) - 1) // 7
    return first if frame == counted(first) else -1


def main(*, proven: bool, wide: bool) -> None:
    """Open, count, close; the result on the standard output."""
    rate = WIDE_RATE_HZ if wide else SAMPLE_RATE_HZ
    native = Native(str(sys.modules["pjsua2._pjsua2"].__file__))
    native.hush()
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    configuration = pj.EpConfig()
    configuration.uaConfig.threadCnt, configuration.uaConfig.mainThreadOnly = 0, True
    configuration.logConfig.level = configuration.logConfig.consoleLevel = 0
    media = configuration.medConfig
    media.clockRate = media.sndClockRate = rate
    media.audioFramePtime, media.noVad, media.ecTailLen = 10, True, 0
    endpoint.libInit(configuration)
    endpoint.libStart()
    master = int(endpoint.audDevManager().setNoDev())
    kind = BridgePort if proven else _Elsewhere
    made = [kind(native, rate), kind(native, rate), *([kind(native)] if wide else [])]
    native.ports = tuple(made) if made[0].slot is not None else (SlotZero(),)
    bridge = MasterPort(native, master, rate)
    bridge.register_thread()
    report = _levels(native, bridge) if wide else _count(native, bridge, Ear(), made[0].slot)
    if len(native.ports) > 1 and not wide:
        report["between"] = _between(native, bridge, *native.ports)
    sys.stdout.write(json.dumps(report))
    endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)


def _levels(native: Native, bridge: MasterPort) -> dict[str, Any]:
    """Of 1 and 5 kHz, said at an amplitude of 4000 by the first line, at a wide one and at one of 8 kHz."""
    said, *others = native.ports
    assert said.slot is not None
    for other in others:
        assert other.slot is not None
        native.connect(said.slot, other.slot)
    heard: list[list[int]] = [[] for _ in others]
    turn = 2 * math.pi / WIDE_RATE_HZ
    for tick in range(100):
        times = range(160 * tick, 160 * tick + 160)
        both = [round(4000 * (math.sin(turn * 1000 * n) + math.sin(turn * 5000 * n))) for n in times]
        said.put(struct.pack("<160h", *both))
        bridge.tick()
        for samples, other in zip(heard, others, strict=True):
            frame = other.get()
            samples.extend(struct.unpack(f"<{len(frame) // 2}h", frame))
    return {
        name: [_level(samples[-rate // 2 :], hz, rate) for hz in (1000, 5000) if hz < rate / 2]
        for name, samples, rate in zip(("wide", "narrow"), heard, (WIDE_RATE_HZ, SAMPLE_RATE_HZ), strict=True)
    } | {"alias": _level(heard[1][-SAMPLE_RATE_HZ // 2 :], 3000, SAMPLE_RATE_HZ)}


def _level(samples: list[int], hz: int, rate: int) -> float:
    """The amplitude of one frequency in half a second."""
    turn = -2j * math.pi * hz / rate
    return 2 * abs(sum(sample * cmath.exp(turn * n) for n, sample in enumerate(samples))) / len(samples)


def _between(native: Native, bridge: MasterPort, one: Port, other: Port) -> dict[str, list[list[int]]]:
    """What two lines joined to each other hear, each tick: frames of the first from 1 on, of the second from 1001."""
    assert one.slot is not None
    assert other.slot is not None
    native.connect(one.slot, other.slot)
    heard: dict[str, list[list[int]]] = {"one": [], "other": []}
    for tick in range(1, 101):
        one.put(counted(tick))
        other.put(counted(1000 + tick))
        bridge.tick()
        heard["one"].append([tick, _number(one.get())])
        heard["other"].append([tick, _number(other.get())])
    native.disconnect(one.slot, other.slot)
    bridge.tick()
    bridge.tick()
    heard["parted"] = [[0, _number(one.get())], [0, _number(other.get())]]
    return heard


def _count(native: Native, bridge: MasterPort, ear: Ear, slot: int | None) -> dict[str, Any]:
    """What `ear` hears before, while and after it is joined. It is gone when this returns, before the library."""
    port = native.ports[0]
    assert port.slot is not None

    def ticks(first: int, last: int) -> None:
        for number in range(first, last):
            ear.tick = number
            port.put(counted(number))
            bridge.tick()

    def heard() -> list[tuple[int, int]]:
        taken, ear.heard = ear.heard, []
        return taken

    ticks(1, 20)
    report: dict[str, Any] = {"slot": slot, "unjoined": heard()}
    native.connect(port.slot, ear.getPortId())
    ticks(1, FRAMES + 1)
    report["joined"] = heard()
    ear.tick = 0
    for _ in range(20):
        bridge.tick()
    report["nothing_put"] = heard()
    native.disconnect(port.slot, ear.getPortId())
    ticks(1, 20)
    report["parted"] = heard()
    report["refused"] = native.connect(port.slot, -1)
    if slot is not None:
        return report
    bridge.close()
    port.put(counted(1))
    bridge.tick()
    return report


class _Elsewhere(BridgePort):
    """A stack built so that the port's read function cannot be proven to be one."""

    def _is_library_code(self, address: Any) -> bool:
        return not super()._is_library_code(address)


if __name__ == "__main__":
    main(proven="wrong-layout" not in sys.argv, wide="wide" in sys.argv)
