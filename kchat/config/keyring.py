"""Secrets in the system's keyring, where the ``keyring`` library is installed and finds one that works.

``pip install "kombu-chat[keyring]"`` brings it. What it does, and which one it takes, is its own affair:
https://keyring.readthedocs.io.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kchat.errors import SettingsError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "kchat"
"""What the secrets' owner is called in the keyring."""

_RECOMMENDED = 1
"""Below this priority a backend is a stopgap that keeps secrets in the clear, or none at all."""


def put(name: str, secret: str) -> str | None:
    """Store a secret.

    Arguments:
        name: by which it is found again.
        secret: the secret.

    Returns:
        What the keyring is called; None where there is none, or it does not give the secret back.
    """
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
    """A secret that was stored.

    Raises:
        SettingsError: it is not there, or the keyring does not give it.
    """
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
    """Forget a secret; nothing happens where it is not there.

    Raises:
        SettingsError: the keyring refuses.
    """
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
    """The keyring that the library chose, if it is one to rely on."""
    if find_spec("keyring") is None:
        return None
    import keyring

    backend: Any = keyring.get_keyring()
    return backend if backend.priority >= _RECOMMENDED else None
