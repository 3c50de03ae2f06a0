"""The bot's pauses, without waiting for them."""

from __future__ import annotations

from itertools import islice, pairwise

import click
import pytest

from kchat.cli.bot import PAUSE, Pause, posts


def test_a_pause_is_a_number_of_seconds_or_a_range() -> None:
    convert = PAUSE.convert
    assert convert("5", None, None) == Pause(5, 5)
    assert convert("0.5..10", None, None) == Pause(0.5, 10)
    for wrong in ("10..5", "..", "1..", "-1..2", "nan", "a", "1...2", "1..inf", ""):
        with pytest.raises(click.ClickException):
            convert(wrong, None, None)


def test_the_pauses_are_random_within_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("kchat.cli.bot.time.monotonic", lambda: now[0])
    monkeypatch.setattr("kchat.cli.bot.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    said = islice(posts("Hello", Pause(2, 8), None, lambda: False), 200)
    moments = [now[0] for post in said if post is not None]
    pauses = [after - before for before, after in pairwise(moments)]
    assert all(2 <= pause <= 8.1 for pause in pauses)
    assert min(pauses) < 4 < 6 < max(pauses)
