"""kchat: a chat room on the message broker that you already have, and a toolkit for building on one.

>>> import kchat
>>> with kchat.connect("amqp://rmq:secret@localhost/", room="chat", username="ada") as room:
...     receipt = room.send("Hello world")
...     for message in room:
...         print(message.username, message.text)

The public names are those of ``__all__``. They are loaded when they are first used, so that ``import kchat`` costs next
to nothing and pulls in no driver.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing's, which takes 7 ms to load
if TYPE_CHECKING:
    from kchat import aio, events
    from kchat.client.in_flight import Receipt
    from kchat.client.room import Room, connect
    from kchat.client.sender import Sender
    from kchat.client.subscriber import Subscriber
    from kchat.config.settings import Broker, Settings
    from kchat.display import Display
    from kchat.display.loop import listen
    from kchat.errors import (
        Blocked,
        BrokerError,
        Closed,
        DecodeError,
        KchatError,
        MissingExtra,
        NotAuthorised,
        NotConfirmed,
        NotFound,
        Refused,
        Rejected,
        Returned,
        SendError,
        SettingsError,
        TooLarge,
        Unavailable,
        Unreachable,
        Untrusted,
    )
    from kchat.message import Message
    from kchat.transports import TRANSPORTS, Transport
    from kchat.transports.durable import Durable
    from kchat.transports.tls import TlsOptions

__version__ = "0.1.0"

_HOMES = {
    "kchat.display": ("Display",),
    "kchat.display.loop": ("listen",),
    "kchat.message": ("Message",),
    "kchat.client.in_flight": ("Receipt",),
    "kchat.client.room": ("Room", "connect"),
    "kchat.client.sender": ("Sender",),
    "kchat.config.settings": ("Broker", "Settings"),
    "kchat.client.subscriber": ("Subscriber",),
    "kchat.transports.durable": ("Durable",),
    "kchat.transports.tls": ("TlsOptions",),
    "kchat.transports": ("TRANSPORTS", "Transport"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("aio", "events")

__all__ = [
    "TRANSPORTS",
    "Blocked",
    "Broker",
    "BrokerError",
    "Closed",
    "DecodeError",
    "Display",
    "Durable",
    "KchatError",
    "Message",
    "MissingExtra",
    "NotAuthorised",
    "NotConfirmed",
    "NotFound",
    "Receipt",
    "Refused",
    "Rejected",
    "Returned",
    "Room",
    "SendError",
    "Sender",
    "Settings",
    "SettingsError",
    "Subscriber",
    "TlsOptions",
    "TooLarge",
    "Transport",
    "Unavailable",
    "Unreachable",
    "Untrusted",
    "__version__",
    "aio",
    "connect",
    "events",
    "listen",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"kchat.{name}")
    if name in __all__:  # all others are errors
        return getattr(import_module(_HOME_OF.get(name, "kchat.errors")), name)
    raise AttributeError(f"module 'kchat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
