"""The host's reminder of the accounts that end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kchat.config.settings import Settings
from kchat.errors import SettingsError
from kchat.hosting import expiry

HOST = Settings.resolve(url="amqp://rmq:x@h/", environ={})
API = "http://h:15672"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reminder of this test is; there is no file yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kchat" / "expiring.json"


def test_invitations_at_once_lose_no_reminder(file: Path) -> None:
    def one(number: int) -> None:
        expiry.note(HOST, API, number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    assert sorted(entry["expires"] for entry in json.loads(file.read_text())) == list(range(40))


def test_a_reminder_that_cannot_be_written_is_one_clear_error(file: Path) -> None:
    file.parent.write_text("in the way")
    with pytest.raises(SettingsError, match=str(file)):
        expiry.note(HOST, API, 1)
