"""Guests on Redis: accounts by ``ACL SETUSER``, which the host runs or lets kchat run."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from kchat.errors import Refused, SettingsError
from kchat.message.lookalikes import normalised
from kchat.transports import guests

from .kept import KEEPING, READING, keys_of, rights

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker

    from .channel import Channel as RedisChannel


class Guests(guests.Guests):
    """See :class:`kchat.transports.guests.Guests`."""

    ends_accounts = True
    admitting = "make accounts"
    ending = "redis-cli ACL LIST shows them, and redis-cli ACL DELUSER ends one"

    def admit(self, settings: RoomSettings, guest: str, *, send_only: bool) -> guests.Access:
        """An account (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)."""
        broker, name = settings.brokers[0], normalised(guest)
        guests.check_account_name(name)
        if name == "default":
            raise SettingsError(
                "'default' is the account of everyone who gives no name on Redis", hint="choose another name"
            )
        if re.search(r"\s", name):
            raise SettingsError(f"an account on Redis has no spaces in its name: {name!r}")
        exchanges = [settings.room]
        if not send_only:
            exchanges.append(broker.transport.presence(settings.room).exchange.name)
        channels = [f"/{broker.path or '0'}.{exchange}" for exchange in exchanges]
        if any(re.search(r"\s", channel) for channel in channels):
            raise SettingsError("Redis takes no rights on a channel with spaces in its name")
        password = secrets.token_urlsafe(24)
        commands = ["+publish", "+ping", "+select", *([] if send_only else ["+subscribe", "+unsubscribe"])]
        history = rights(keys_of(channels[0]), [*KEEPING, *(() if send_only else READING)])
        rule = [
            "ACL",
            "SETUSER",
            name,
            "reset",
            "on",
            f">{password}",
            "resetchannels",
            # Escape what has a meaning in a pattern.
            *("&" + re.sub(r"([*?\[\]\\])", r"\\\1", channel) for channel in channels),
            *commands,
            *history,
        ]

        def run(channel: Channel) -> None:
            client = cast("RedisChannel", channel).client
            known = client.acl_users()
            if name in known:
                raise Refused(f"there is an account {name!r} on {broker} already", hint="choose another name")
            guests.check_no_lookalike(name, known, broker)
            client.execute_command(*rule)

        advice = (
            "end the account with: redis-cli ACL DELUSER " + shlex.quote(name),
            "what it says is not checked: anyone can claim any name on Redis",
            "who may send can also empty the room's history: on Redis that is one right",
        )
        return guests.Access((guests.Step("redis-cli " + shlex.join(rule), run),), name, password, advice)

    def dismiss(self, account: str) -> guests.Step:
        """Redis closes the account's connections (https://redis.io/docs/latest/commands/acl-deluser/)."""

        def run(channel: Channel) -> None:
            cast("RedisChannel", channel).client.acl_deluser(account)

        return guests.Step(shlex.join(["redis-cli", "ACL", "DELUSER", account]), run)

    def check(self, broker: Broker) -> None:
        """Its path is the number of a database."""
        if not re.fullmatch(r"[0-9]{0,5}", broker.path):
            raise SettingsError(f"{broker.path!r} is not the number of a Redis database")

    def try_out(self, channel: Channel, room: RoomPolicy, tell: Callable[[str], None]) -> None:
        """A channel exists as soon as somebody uses it: that the account could log in is all that can be tried."""
