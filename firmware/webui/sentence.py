"""A state told to a person: what the templates draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mood = Literal["calm", "alive", "trouble"]
Pose = Literal["down", "ringing", "up", "fault"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A heading, a line below it, how it feels, and how the telephone is drawn."""

    heading: str
    detail: str = ""
    mood: Mood = "calm"
    pose: Pose = "down"
