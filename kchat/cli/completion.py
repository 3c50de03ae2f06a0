"""What a shell may complete names to: from files on this machine, so that it never waits for a network.

Whatever is wrong with such a file is not said here: an error would be written into the line that somebody types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from click.core import ParameterSource

from kchat.cli.options import resolve
from kchat.errors import KchatError

if TYPE_CHECKING:
    import click

    from kchat.config.settings import Settings
    from kchat.transports.url import Broker

_PLAIN = re.compile(r"[\w.%+,/][\w.%+,/-]*")
"""Names that mean themselves in every shell. Others are not offered: what a stranger called a room would be run as a
command, and shells differ in how a completed word is quoted."""


def profiles(incomplete: str) -> list[str]:
    """The profiles whose names begin with that, in the file's order."""
    from kchat.config import profiles

    with suppress(KchatError, OSError):
        return _fitting(profiles.load().profiles, incomplete)
    return []


def rooms(context: click.Context, incomplete: str) -> list[str]:
    """The rooms whose names begin with that, where the options so far lead: in name order.

    They are the room of the options, of the profiles for the same host, those in an embedded room's file, and those that the
    window has shown.
    """
    with suppress(KchatError, OSError), context.scope(cleanup=False):
        # No password is needed, and none is asked for.
        context.set_parameter_source("ask_password", ParameterSource.COMMANDLINE)
        settings = resolve({**context.params, "ask_password": True}, lambda: "-")
        given = context.params.get("rooms") or ()
        return [name for name in sorted({*_fitting(_rooms(settings), incomplete)}) if name not in given]
    return []


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def _rooms(settings: Settings) -> Iterator[str]:
    yield settings.room
    for broker in settings.brokers:
        with suppress(KchatError, OSError):
            yield from broker.transport.known_rooms(broker)
    with suppress(KchatError, OSError):
        yield from _of_profiles(settings)
    yield from _shown(settings)


def _of_profiles(settings: Settings) -> Iterator[str]:
    from kchat.config import profiles
    from kchat.transports.url import Broker

    places = {_place(broker) for broker in settings.brokers}
    for profile in profiles.load().profiles.values():
        with suppress(KchatError):
            if profile.room and not places.isdisjoint(map(_place, Broker.parse_all(profile.url))):
                yield profile.room


def _place(broker: Broker) -> tuple[str, str, int | None, str]:
    """Where it is, whoever's account the URL has."""
    whole = broker.transport.urls.complete(broker, None, None, {})
    return whole.scheme, whole.host, whole.port, whole.path


def _shown(settings: Settings) -> Iterator[str]:
    """The marks of the window name a room by :class:`~kchat.config.settings.Settings` as text, ``chat at amqp://...``."""
    from kchat.tui.read_marks import ReadMarks

    place = _without_password(str(settings)).removeprefix(settings.room)
    for shown in map(_without_password, ReadMarks().load()):
        if shown.endswith(place):
            yield shown.removesuffix(place)


def _without_password(place: str) -> str:
    return place.replace(":***@", "@")
