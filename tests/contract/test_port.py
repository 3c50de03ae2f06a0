"""What a transport gives is what `kchat.transports.protocols` says, which mypy cannot see: Kombu has no types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

import pytest

from kchat.client.connection import connect
from kchat.transports import protocols
from tests.brokers.wait import wait_until
from tests.contract.people import SECONDS
from tests.contract.places import Place


def members(protocol: type) -> Iterator[str]:
    """The names of what a protocol asks for."""
    yield from (name for name in {**vars(protocol), **protocol.__annotations__} if name[0] != "_")


def differences(given: object, protocol: type, *, optional: bool = False) -> list[str]:
    """What an object lacks of a protocol, or what cannot be called as that says."""
    found = []
    for name in members(protocol):
        asked = inspect.getattr_static(protocol, name, None)
        if not hasattr(given, name):
            if optional:
                continue
            found.append(f"{protocol.__name__}.{name} is missing")
        elif inspect.isfunction(asked):
            own = [each for each in inspect.signature(asked).parameters.values() if each.name != "self"]
            places = [
                each.name for each in own if each.default is each.empty and each.kind < each.VAR_POSITIONAL
            ]
            names = [
                each.name for each in own if each.name not in places and each.kind is not each.VAR_KEYWORD
            ]
            try:
                inspect.signature(getattr(given, name)).bind(*places, **dict.fromkeys(names))
            except TypeError as error:
                found.append(f"{protocol.__name__}.{name}: {error}")
    return found


def test_the_comparison_finds_what_is_missing_and_what_is_called_otherwise() -> None:
    class Half:
        def wake(self, who: str) -> None: ...

    assert differences(Half(), protocols.Waker) == [
        "Waker.wake: missing a required argument: 'who'",
        "Waker.close is missing",
    ]


@pytest.mark.promise("its objects are those of the port")
def test_what_the_transport_gives_is_what_the_port_says(place: Place, room: str) -> None:
    connection, _ = connect(place.settings(room), purpose="send")
    with closing(connection):  # type: ignore[type-var]  # Kombu's
        channel, policy = connection.channel(), place.info.room(room)
        channel.auto_decode = False
        policy.open(channel)
        queue = policy.take_place(channel, "ada").queue
        got: list[Any] = []
        queue.consume("ada", got.append, no_ack=not place.info.acknowledges)
        raw = channel.prepare_message(b"hello", content_type="text/plain", properties={"delivery_mode": 1})
        channel.basic_publish(raw, exchange=policy.exchange.name, routing_key="", mandatory=False)
        wait_until(partial(arrived, connection, got), SECONDS)
        driver = connection.connection
        wrong = [
            *differences(connection, protocols.Connection),
            *differences(connection.transport, protocols.KombuTransport),
            *differences(channel, protocols.Channel),
            *differences(queue, protocols.Queue),
        ]
        asked = (
            protocols.Redelivers,
            protocols.Info,
            protocols.Numbered,
            protocols.OfAccount,
            protocols.Delivery,
        )
        assert not place.info.capabilities.positions or isinstance(got[0].position, str)
        has = {name for protocol in asked for name in members(protocol) if hasattr(got[0], name)}
        assert has >= {"body", "delivery_tag"}
        assert has & {"redelivered", "delivery_info"}
        assert not hasattr(channel, "number_table") or "number" in has
        assert not place.info.verifies_accounts or "account" in has
        for able, protocol in (
            (connection.transport, protocols.Wakes),
            (channel, protocols.Confirms),
            (channel, protocols.NumbersMessages),
            (channel, protocols.AsksLength),
            (driver, protocols.Beats),
            (driver, protocols.Notifies),
            (driver, protocols.CountsOvertaken),
            (driver, protocols.CountsProperties),
            (driver, protocols.Verifies),
        ):
            wrong += differences(able, protocol, optional=True)
        assert hasattr(driver, "beat") == hasattr(driver, "heard_at")
        if hasattr(connection.transport, "waker") and (waker := connection.transport.waker(driver)):
            wrong += differences(waker, protocols.Waker)
            waker.close()
        if not place.info.supports_mandatory and not hasattr(channel, "confirm_select"):
            wrong = [each for each in wrong if not each.startswith("Channel.events ")]  # nothing is called
    assert wrong == []


def arrived(connection: protocols.Connection, got: list[Any]) -> bool:
    """Whether a message has come."""
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.2)
    return bool(got)
