"""Builds the line that the settings name: the signalling port and its sound device, simulated or real."""

from __future__ import annotations

from pathlib import Path

from firmware.config import LineSettings
from firmware.fxs import safe
from firmware.fxs.pcm import LinePcm
from firmware.fxs.port import FxsPort


def wiring(config: LineSettings) -> safe.Wiring:
    """What has to be known to take the ring off this line when the core is dead."""
    if config.driver != "gpio_slic":
        return {"driver": config.driver}
    gpio = config.gpio
    return {"driver": config.driver, "shk": gpio.shk, "rm": gpio.rm, "fr": gpio.fr, "fr_idle": gpio.fr_idle}


def build_line(data: Path, line: int, config: LineSettings) -> tuple[FxsPort, LinePcm]:
    """Build the real or simulated line that the settings name."""
    if config.driver == "simulated":
        from firmware.fxs.drivers.simulated import SimulatedPort  # noqa: PLC0415 - only the driver in use
        from firmware.fxs.pcm.simulated import SimulatedPcm  # noqa: PLC0415

        simulated = SimulatedPort(data, line)
        return simulated, SimulatedPcm(data, line, simulated)
    from firmware.fxs.drivers.gpio_slic import GpioSlicPort, SlicPins  # noqa: PLC0415
    from firmware.fxs.pcm.alsa import AlsaPcm  # noqa: PLC0415

    gpio, alsa = config.gpio, config.alsa
    pins = SlicPins(shk=gpio.shk, rm=gpio.rm, fr=gpio.fr, pd=gpio.pd)
    port = GpioSlicPort(pins, shk_active_high=gpio.shk_active_high, fr_idle=gpio.fr_idle, pd_mode=gpio.pd_mode)
    return port, AlsaPcm(capture=alsa.capture, playback=alsa.playback, periods=alsa.periods)
