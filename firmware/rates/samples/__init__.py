"""The sample deck: prices in the spirit of a webmail that learned to telephone in 2010. Nobody's real prices."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path(__file__).with_name("webmail-2010.csv")
SAMPLE_NAME = "webmail-2010"
