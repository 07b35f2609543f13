"""The bench's clicks and plots, on recordings made here: what was planted is found, and laid at the right door."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.bench import voice_plots
from tests.bench.box_pair import Ear
from tests.bench.voice_clicks import CALLEE_HZ, NETWORKS, Heard, steady, tone
from tests.system.speech_score import RATE, Samples

BEGUN = 1000.0  # monotonic


def ear(samples: Samples) -> Ear:
    row = {"quality": None, "plot": {"seconds": 5, "delay_ms": [60, 180, 70], "loss_percent": [0.0, 2.5, 30.0]}}
    return Ear(samples, BEGUN, row, {"dropped_frames": 0, "slipped_frames": 0})


@pytest.fixture
def recording() -> Samples:
    """Silence, 14 s of the tone with a frame left out at 4 s and a frame silenced at 9 s, silence."""
    said = tone(CALLEE_HZ, 14)
    said[9 * RATE : 9 * RATE + 80] = 0
    said = np.delete(said, slice(4 * RATE, 4 * RATE + 80))
    return np.pad(said, (RATE // 2, RATE // 2))


def test_planted_clicks_are_found_and_those_of_a_stall_are_laid_at_its_door(recording: Samples) -> None:
    heard = Heard.of(ear(recording), CALLEE_HZ, [(BEGUN + 4.4, 30.0), (BEGUN + 99, 50.0), (BEGUN - 5, 50.0)])
    assert heard.clicks == pytest.approx([4.5, 9.49], abs=0.02)
    assert heard.calm == pytest.approx([9.49], abs=0.02)
    assert [round(at, 3) for at, _ in heard.stalls] == [4.4]
    around = heard.raw()["heard"]
    assert [len(piece) for piece in around] == [800, 800], "what each sounded like is kept"
    assert 0 in around[1][390:410]
    assert min(heard.level_db[2:-2]) < -80, "the silenced frame shows in the level"


def test_a_tone_that_nobody_hears_is_an_error_and_no_clean_call() -> None:
    with pytest.raises(ValueError, match="not heard"):
        steady(np.zeros(RATE * 5, np.int16))


def test_the_plots_are_well_formed_small_and_say_what_was_heard(
    recording: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = Heard.of(ear(recording), CALLEE_HZ, []).raw()
    figures = [
        {"raw": {"network": name, "seconds": 14.0, "caller": raw, "callee": raw, "native": {"clicks": [1.0]}}}
        for name in NETWORKS
    ]
    (tmp_path / "clicks.json").write_text(json.dumps({"figures": [{"raw": {}}, *figures]}))
    monkeypatch.setattr(sys, "argv", ["voice_plots", str(tmp_path / "clicks.json"), str(tmp_path)])
    assert voice_plots.main() == 0
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) == len(NETWORKS)
    for path in drawn:
        assert path.stat().st_size < 60_000
        root = ET.fromstring(path.read_text())  # noqa: S314 - our own
        text = " ".join(root.itertext())
        assert "2 clicks, 2 of them away from any stall" in text
        assert "prefers-color-scheme:dark" in text
    (tmp_path / "clicks.json").write_text('{"figures": []}')
    assert voice_plots.main() == 1
    assert "--only voice-clicks --json" in capsys.readouterr().err
