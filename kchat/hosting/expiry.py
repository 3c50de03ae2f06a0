"""The host's reminder of the accounts that end: whatever kchat does next on the broker after their time removes them.

RabbitMQ knows no accounts that end by themselves. ``kchat invite --expires`` notes when and where in a file of the
user's; every command with the same account on the same broker looks at it. Accounts carry their time as well
(:mod:`kchat.hosting.accounts`), so that ``kchat invite --list`` finds them on any machine.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kchat.config.private_files import check_ours, locked, write_private
from kchat.errors import KchatError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.config.settings import Settings
    from kchat.hosting.accounts import Account


_KINDS = (("broker", str), ("management_url", str), ("expires", int))


def note(settings: Settings, management_url: str, expires: int) -> None:
    """Note that an account ends.

    Arguments:
        settings: the host's.
        management_url: of the API by which it is removed.
        expires: when, in UNIX seconds.

    Raises:
        SettingsError: the file cannot be written.
    """
    entry = {"broker": _key(settings), "management_url": management_url, "expires": expires}
    _change(lambda noted: [*noted, entry])


def remove_due(
    settings: Settings, on_removed: Callable[[Account], None], on_failed: Callable[[KchatError], None]
) -> None:
    """Remove the accounts whose time is over, on this broker; one look at a file where there are none.

    Arguments:
        settings: of whatever is done now; nothing happens unless the accounts were made with the same account.
        on_removed: told of each.
        on_failed: told why it cannot be done now. The next command tries again.
    """
    if settings.transport.name != "amqp" or settings.broker.password is None:
        return
    key, now = _key(settings), time.time()
    due = [entry for entry in _load() if entry["broker"] == key and entry["expires"] <= now]
    if not due:
        return
    from kchat.hosting.accounts import remove_expired
    from kchat.hosting.management import Management

    done: list[str] = []
    for url in {entry["management_url"] for entry in due}:
        try:
            remove_expired(Management.of(settings, url), on_removed)
        except KchatError as error:
            on_failed(error)
        else:
            done.append(url)
    if not done:
        return
    try:
        # What was noted meanwhile stays.
        _change(
            lambda noted: [each for each in noted if each not in due or each["management_url"] not in done]
        )
    except SettingsError as error:
        on_failed(error)


def _key(settings: Settings) -> str:
    broker = settings.broker
    return f"{broker.username}@{broker.host}:{broker.port}"


def _file() -> Path | None:
    """Where the reminder is; None where no home folder is known, and so nothing can be noted."""
    # As platformdirs has it on Linux. Every command on AMQP looks there, and platformdirs takes long to import.
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return folder / "kchat" / "expiring.json" if folder.is_absolute() else None


def _load() -> list[dict[str, Any]]:
    file = _file()
    if file is None:
        return []
    try:
        raw = file.read_bytes()
        # The administrator's password goes to the URLs in it.
        check_ours(file)
        noted = json.loads(raw)
        return [{name: kind(entry[name]) for name, kind in _KINDS} for entry in noted]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, SettingsError):
        return []  # a reminder that somebody has spoilt; the accounts carry their time themselves


def _change(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change what is noted, one process at a time.

    Raises:
        SettingsError: the file cannot be written.
    """
    file = _file()
    if file is None:
        return
    try:
        with locked(file):
            if entries := change(_load()):
                write_private(file, json.dumps(entries).encode())
            else:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"{file} cannot be changed: {error.strerror or error}") from error
