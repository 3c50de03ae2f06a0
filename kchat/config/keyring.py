"""Secrets in the system's keyring, where the ``keyring`` library is installed and finds one that works.

``pip install "kombu-chat[keyring]"`` installs it. The library chooses the keyring: https://keyring.readthedocs.io.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kchat.errors import SettingsError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "kchat"
"""The service name of the secrets in the keyring."""

_RECOMMENDED = 1
"""A backend with a lower priority stores secrets in plain text, or not at all."""


def put(name: str, secret: str) -> str | None:
    """Store a secret; returns the name of the keyring, None if there is none, or it does not return the secret."""
    backend = _backend()
    if backend is None:
        return None
    from keyring.errors import KeyringError

    try:
        backend.set_password(SERVICE, name, secret)
        kept = backend.get_password(SERVICE, name) == secret
    except (KeyringError, OSError):
        return None
    return str(backend.name) if kept else None


def get(name: str) -> str:
    """Read a stored secret; raises SettingsError where it is missing, or the keyring does not return it."""
    backend = _backend()
    if backend is None:
        hint = "" if find_spec("keyring") else 'pip install "kombu-chat[keyring]"'
        raise SettingsError(
            f"the password of {name} is in the system's keyring, and there is none here", hint=hint
        )
    from keyring.errors import KeyringError

    try:
        secret = backend.get_password(SERVICE, name)
    except (KeyringError, OSError) as error:
        raise SettingsError(
            f"the keyring {backend.name} does not give the password of {name}: {error}"
        ) from error
    if secret is None:
        raise SettingsError(
            f"the keyring {backend.name} has no password of {name}", hint="join the room once more"
        )
    return secret


def delete(name: str) -> None:
    """Delete a secret, if it is stored; raises SettingsError where the keyring refuses."""
    backend = _backend()
    if backend is None:
        return
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        backend.delete_password(SERVICE, name)
    except PasswordDeleteError:
        return  # it was not there
    except (KeyringError, OSError) as error:
        raise SettingsError(f"the keyring {backend.name} keeps the password of {name}: {error}") from error


def _backend() -> KeyringBackend | None:
    """The keyring that the library chose, if it is a reliable one."""
    if find_spec("keyring") is None:
        return None
    import keyring

    backend: Any = keyring.get_keyring()
    return backend if backend.priority >= _RECOMMENDED else None
