"""The household's choices: a slow core holds up nobody but the one who asks."""

from __future__ import annotations

import threading

from firmware.webui.household import Household
from tests.fakes.box_service import FakeBox


class SlowBox(FakeBox):
    """Answers `settings` only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_now = threading.Event()
        self.answer = threading.Event()

    def settings(self) -> dict[str, object]:
        flat = super().settings()
        self.asked_now.set()
        assert self.answer.wait(30)
        return flat


def test_while_one_asks_a_slow_core_the_others_go_on_with_what_is_known() -> None:
    box = SlowBox()
    household = Household(box)
    box.flat["box.timezone"] = "Indian/Reunion"
    asker = threading.Thread(target=household.choices, daemon=True)
    asker.start()
    assert box.asked_now.wait(30)
    assert household.choices().timezone == "Europe/Paris"  # at once, with the core still thinking
    assert box.asked == [("settings", None)]
    box.answer.set()
    asker.join(30)
    assert household.choices().timezone == "Indian/Reunion"
    assert box.asked == [("settings", None)]


def test_what_changes_while_the_core_is_asked_is_asked_again() -> None:
    box = SlowBox()
    household = Household(box)
    asker = threading.Thread(target=household.choices, daemon=True)
    asker.start()
    assert box.asked_now.wait(30)
    box.flat["box.country"] = "BE"
    household.forget()
    box.answer.set()
    asker.join(30)
    assert household.choices().country == "BE"


def test_the_last_known_choices_serve_while_the_core_is_away_and_it_is_not_pestered() -> None:
    box = FakeBox()
    now = [0.0]
    household = Household(box, monotonic=lambda: now[0])
    box.flat["page.hosts"] = ["chez-nous.example"]
    assert "chez-nous.example" in household.choices().names
    box.reachable = False
    now[0] = 60.0
    box.asked.clear()
    for _ in range(5):
        assert "chez-nous.example" in household.choices().names
    assert len(box.asked) == 1
    now[0] = 63.0
    household.choices()
    assert len(box.asked) == 2
