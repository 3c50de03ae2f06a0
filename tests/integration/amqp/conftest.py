"""A host's access to a RabbitMQ, and names for guests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from kchat import Settings
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.guests import Guests
from tests.brokers.rabbitmq import RabbitMQ


@pytest.fixture
def settings(rabbitmq: RabbitMQ, vhost: str) -> Settings:
    """The host's, in a vhost of the test's own."""
    return Settings.resolve(url=rabbitmq.url_for(vhost))


@pytest.fixture
def management(rabbitmq: RabbitMQ, settings: Settings) -> Iterator[Accounts]:
    """The host's access; accounts of kchat's that a test leaves behind on its vhost are deleted."""
    access = Guests("amqp").management(settings, rabbitmq.management_url)
    yield access
    ours = {user["name"] for user in access.users() if "kchat" in user["tags"]}
    for name, granted in access.all_permissions().items():
        if name in ours and any(each["vhost"] == settings.broker.vhost for each in granted):
            access.delete_user(name)


@pytest.fixture
def name() -> str:
    """An account's name that no other test uses."""
    return f"guest-{secrets.token_hex(4)}"
