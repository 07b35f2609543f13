"""Builds the line that the settings name: the signalling port and its sound device, simulated or real."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware.config import GpioSettings, LineSettings
from firmware.fxs import safe
from firmware.fxs.country import Country, Gains
from firmware.fxs.drivers.slic_hats import SlicHat, habits
from firmware.fxs.levels import LineLevels, Mains
from firmware.fxs.pcm import LinePcm
from firmware.fxs.port import FxsPort


def wiring(config: LineSettings) -> safe.Wiring:
    """What has to be known to take the ring off this line when the core is dead."""
    if config.driver != "gpio_slic":
        return {"driver": config.driver}
    gpio = config.gpio
    return {"driver": config.driver, "shk": gpio.shk, "rm": gpio.rm, "fr": gpio.fr, "fr_idle": _habits(gpio).fr_idle}


def build_line(data: Path, line: int, config: LineSettings) -> tuple[FxsPort, LinePcm]:
    """Build the real or simulated line that the settings name."""
    if config.driver == "simulated":
        from firmware.fxs.drivers.simulated import SimulatedPort  # noqa: PLC0415 - only the driver in use
        from firmware.fxs.pcm.simulated import SimulatedPcm  # noqa: PLC0415

        simulated = SimulatedPort(data, line)
        return simulated, SimulatedPcm(data, line, simulated, config.sample_rate)
    from firmware.fxs.pcm.alsa import AlsaPcm  # noqa: PLC0415

    alsa = config.alsa
    pcm = AlsaPcm(capture=alsa.capture, playback=alsa.playback, periods=alsa.periods, rate_hz=config.sample_rate)
    if config.driver == "serial_mcu":
        from firmware.fxs.drivers.serial_mcu import SerialMcuPort, shared_hat  # noqa: PLC0415

        hat = shared_hat(config.serial.device, config.serial.baud)  # one hat may have several lines
        return SerialMcuPort(hat, config.serial.line or line), pcm
    return _gpio_port(config.gpio), pcm


def build_levels(config: LineSettings, home: Country) -> LineLevels:
    """The digital gains, hum notch and counters that the settings name, in that country."""
    plan = home.gains if config.gain_plan == "box" else Gains(0.0, 0.0)
    mains: dict[str, Mains] = {"off": 0, "50": 50, "60": 60}
    return LineLevels(
        plan.from_line_db + config.gain_from_line_db,
        plan.to_line_db + config.gain_to_line_db,
        mains[config.hum_notch],
    )


class SoundWatch:
    """What the sound devices of some lines tell nobody by themselves: a fault that came, changed or went.

    Asked every `EVERY_SECONDS`: with the second after which a card without a sample is a fault, that makes two.
    """

    EVERY_SECONDS = 0.5

    def __init__(self, pcms: Mapping[int, LinePcm]) -> None:
        self._pcms = pcms
        self._told: dict[int, str | None] = {}

    def news(self) -> list[int]:
        """The lines whose fault is another than when this was last asked."""
        now = {line: pcm.fault for line, pcm in self._pcms.items()}
        before, self._told = self._told, now
        return [line for line, fault in now.items() if fault != before.get(line)]


def _gpio_port(gpio: GpioSettings) -> FxsPort:
    from firmware.fxs.drivers.gpio_slic import GpioSlicPort, SlicPins  # noqa: PLC0415

    pins = SlicPins(shk=gpio.shk, rm=gpio.rm, fr=gpio.fr, pd=gpio.pd, mt8870=gpio.mt8870)
    return GpioSlicPort(pins, _habits(gpio), trip_seconds=gpio.trip_ms / 1000)


def _habits(gpio: GpioSettings) -> SlicHat:
    return habits(gpio.hat, shk_active_high=gpio.shk_active_high, fr_idle=gpio.fr_idle, pd_mode=gpio.pd_mode)
