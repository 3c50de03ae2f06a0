"""Profiles as an invitation makes them, and as somebody may have written them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from kchat.config import profiles
from kchat.config.settings import Broker, Settings
from kchat.hosting import profile_changes
from kchat.hosting.invitation import Invitation

SECRET = "s3cr3t-of-ada"

URL = "amqp://ada@broker.example:5672/"

ENVIRONMENT = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "admin"}


def written(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)


def in_use(file: Path, lines: str) -> None:
    """A profile x, in use, as somebody may have written it by hand."""
    written(file, f'use = "x"\n[profile.x]\n{lines}\n')
    file.chmod(0o600)


def join(room: str = "chat", url: str = URL, name: str | None = None, **more: Any) -> profiles.Profile:
    invitation = Invitation((Broker.parse(url),), room, SECRET, **more)
    return profile_changes.join(invitation, name)[0]


def resolve(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    variables = dict.fromkeys(("KCHAT_URL", "KCHAT_PROFILE"), "") | (environ or {})
    with mock.patch.dict(os.environ, variables):
        return Settings.resolve(**options, use_profile=True)
