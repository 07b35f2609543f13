"""A core that died in mid-ring: its pins are made safe by what it had taken, whatever became of the settings."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from firmware import lines
from firmware.config import Settings, with_setting
from firmware.fxs import safe

CRASHED = {"driver": "gpio_slic", "shk": 5, "rm": 6, "fr": 13, "fr_idle": "low"}


def in_mid_ring(*numbers: int) -> MockFactory:
    """Pins left high by a process that is gone."""
    factory = MockFactory(pin_class=MockPWMPin)
    for number in numbers:
        factory.pin(number).output_with_state(1)
    return factory


def high(factory: MockFactory, *numbers: int) -> list[int]:
    return [number for number in numbers if factory.pin(number).state]


def test_the_pins_that_the_core_took_are_made_safe_though_the_settings_say_otherwise_now(tmp_path: Path) -> None:
    safe.remember(tmp_path, [CRASHED])
    (tmp_path / "settings.toml").write_text('[line]\ndriver = "gpio_slic"\n[line.gpio]\nrm = 23\n')
    factory = in_mid_ring(6, 23)
    assert safe.make_safe(safe.recall(tmp_path), factory) == []
    assert high(factory, 6, 23) == [23]


@pytest.mark.parametrize("text", ["", "not [ TOML", "\x00\xff", "line = 3"])
def test_broken_settings_cost_nothing_once_the_core_has_run(tmp_path: Path, text: str) -> None:
    safe.remember(tmp_path, [CRASHED])
    (tmp_path / "settings.toml").write_text(text)
    factory = in_mid_ring(6)
    assert safe.make_safe(safe.recall(tmp_path), factory) == []
    assert high(factory, 6) == []


def test_every_line_is_made_safe_also_after_one_that_cannot_be(tmp_path: Path) -> None:
    bad = {**CRASHED, "rm": 6, "fr": 6}  # one pin for two wires: the library refuses the second
    safe.remember(tmp_path, [{"driver": "simulated"}, bad, {**CRASHED, "rm": 16, "fr": 20}])
    factory = in_mid_ring(16)
    troubles = safe.make_safe(safe.recall(tmp_path), factory)
    assert [trouble.partition(":")[0] for trouble in troubles] == ["line 2"]
    assert high(factory, 16) == []


@pytest.mark.parametrize("kept", [None, "", "{}", "[1]", '[{"rm": 6}]', "[" * 5000])
def test_without_the_cores_word_the_settings_serve_then_the_previous_ones(tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / safe.LAST).write_text(kept)
    (tmp_path / "settings.toml.previous").write_text('[line]\ndriver = "gpio_slic"\n[line.gpio]\nrm = 22\n')
    assert [line["rm"] for line in safe.recall(tmp_path)] == [22]
    (tmp_path / "settings.toml").write_text(
        '[line]\ndriver = "gpio_slic"\ncount = 2\n[line.gpio]\nrm = 23\nfr = 24\n[line.2.gpio]\nrm = 25\n'
    )
    assert [(line["driver"], line["rm"], line["fr"]) for line in safe.recall(tmp_path)] == [
        ("gpio_slic", 23, 24),
        ("gpio_slic", 25, 24),
    ]


def test_a_pin_that_cannot_be_is_the_usual_one(tmp_path: Path) -> None:
    safe.remember(tmp_path, [{**CRASHED, "rm": "17; rm -rf", "fr": -1, "shk": True}])
    factory = in_mid_ring(17)
    assert safe.make_safe(safe.recall(tmp_path), factory) == []
    assert high(factory, 17) == []


def test_what_the_settings_name_is_what_is_kept(tmp_path: Path) -> None:
    settings = with_setting(with_setting(Settings(), "line.driver", "gpio_slic"), "line.gpio.rm", "22")
    safe.remember(tmp_path, [lines.wiring(settings.line)])
    (kept,) = safe.recall(tmp_path)
    assert (kept["driver"], kept["rm"], kept["fr_idle"]) == ("gpio_slic", 22, "high")
    assert lines.wiring(Settings().line)["driver"] == "simulated"


def command(data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware.fxs.safe", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("rows", [[], [{"driver": "simulated"}], [{"driver": "serial_mcu"}], [{"driver": None}]])
def test_a_line_without_pins_is_left_alone_and_the_command_is_quick(tmp_path: Path, rows: list[object]) -> None:
    (tmp_path / safe.LAST).write_text(json.dumps(rows))
    began = time.monotonic()
    done = command(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 20  # nothing heavy is imported; the machine may be busy


@pytest.mark.skipif(Path("/dev/gpiochip0").exists(), reason="a machine with pins of its own")
def test_pins_that_are_not_there_are_told_in_words(tmp_path: Path) -> None:
    safe.remember(tmp_path, [CRASHED])
    done = command(tmp_path)
    assert done.returncode == 1
    assert "line 1: the ring could not be taken off" in done.stderr
