"""``kchat replay``."""

from __future__ import annotations

from itertools import chain
from math import inf, nan
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kchat.cli.help import Command
from kchat.cli.options import (
    broker_options,
    confirm_timeout_option,
    quiet_option,
    refuse_lone_room,
    to_settings,
    username_option,
    wait_option,
)
from kchat.cli.param_types import SECONDS_OR_ZERO, Read
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import connection_teller, line_writer, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kchat.cli.stream import Progress
    from kchat.client.json_lines import Damage
    from kchat.client.replaying import Recorded, Recording
    from kchat.message import Message

_MOST_TOLD = 10
"""Maximum number of damaged lines that are told each by itself."""

_LEAST_SPEED = 1e-6
"""Less is as good as 0."""


def _read_speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = nan
    if not _LEAST_SPEED <= speed < inf:
        raise ValueError(
            f"{text!r} is not a speed: it must be more than 0, as 0.5 or 10; --no-delay does not wait at all"
        )
    return speed


_SPEED = Read("number", _read_speed)


@click.command(name="replay", cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--speed", type=_SPEED, metavar="N", default=1.0, show_default=True, help="2 is twice as fast.")
@click.option("--no-delay", is_flag=True, help="As fast as the broker confirms.")
@click.option(
    "--longest-pause", type=SECONDS_OR_ZERO, metavar="SECONDS", help="Shorten longer pauses of the recording."
)
@click.option("--keep-ids", is_flag=True, help="Keep the messages' ids: who has just seen them skips them.")
@username_option
@broker_options
@confirm_timeout_option
@wait_option
@quiet_option
def command(
    file: str,
    speed: float,
    no_delay: bool,
    longest_pause: float | None,
    keep_ids: bool,
    username: str | None,
    wait: bool,
    quiet: bool,
    **broker: Any,
) -> int:
    """Send the messages of a recording again, each confirmed, with the pauses that were between them.

    They go to the room that was recorded, unless --room names another. Each gets a new id, or else subscribers that remember
    the old one would skip it; all other bytes stay. "-" is standard input.

    \b
    Examples:
      kchat replay monday.jsonl.gz --room test
      kchat replay monday.jsonl.gz --speed 10 --longest-pause 60
      kchat replay monday.jsonl.gz --no-delay
    """
    context = click.get_current_context()
    if no_delay and context.get_parameter_source("speed") is ParameterSource.COMMANDLINE:
        raise click.UsageError("Give either --speed or --no-delay.")
    from kchat.cli import DONE, FAILED
    from kchat.cli.stream import Progress, send_stream
    from kchat.client.recording import STANDARD
    from kchat.client.replaying import Recorded, Recording, Replay
    from kchat.client.sender import Sender

    recording = Recording(file)
    records = iter(recording)
    head: list[Recorded | Damage] = []
    for each in records:
        head.append(each)
        if isinstance(each, Recorded) or len(head) > _MOST_TOLD:
            break
    first = next((each for each in head if isinstance(each, Recorded)), None)
    name = "standard input" if file == STANDARD else file
    damage = _Damage(name)
    if not head:
        line_writer(quiet)(f"{name} holds no messages")
        return DONE
    if context.get_parameter_source("room") is ParameterSource.DEFAULT and first is not None and first.room:
        # As if it were typed: a profile's own room is for talking.
        context.set_parameter_source("room", ParameterSource.COMMANDLINE)
        broker["room"] = context.params["room"] = first.room
    settings = to_settings(**broker)
    refuse_lone_room(settings, "nobody can receive the messages")
    sender = Sender(
        settings, username, wait=wait, on_event=connection_teller(several=len(settings.brokers) > 1)
    )
    with shutdown_by_signal() as stop:
        woken = Event()
        stop.wake = woken.set
        messages = Replay(
            chain(head, records),
            speed=None if no_delay else speed,
            longest_pause=longest_pause,
            keep_ids=keep_ids,
            on_damage=damage.tell,
            wait=woken.wait,
        )
        left = _Left(recording, messages, speed=None if no_delay else speed, longest_pause=longest_pause)
        progress = Progress(show=not quiet, more=left.text)
        damage.clear = progress.clear
        if progress.shown and not no_delay:
            left.look()
        line_writer(quiet)(f"sending {name} to {settings}; Ctrl+C ends")
        code = send_stream(sender, _ticking(messages, progress), stop, quiet, progress=progress)
    damage.end()
    return FAILED if code == DONE and damage.lines else code


def _ticking(messages: Iterable[Message | None], progress: Progress) -> Iterator[Message | None]:
    """The messages; while none is due, the time goes on."""
    for message in messages:
        if message is None:
            progress.update()
        yield message


class _Damage:
    """Tells of what cannot be read, a line each, and of many in one.

    Attributes:
        lines: number of damaged lines. The end that a killed recorder leaves is none.
        clear: called before a line is written.
    """

    def __init__(self, name: str) -> None:
        self.lines = 0
        self.clear: Callable[[], object] = lambda: None
        self._name = name

    def tell(self, damage: Damage) -> None:
        """One of them."""
        self.lines += not damage.cut
        if damage.cut or self.lines <= _MOST_TOLD:
            self.clear()
            write_line(f"kchat: {self._name}, {damage}")

    def end(self) -> None:
        """That was all."""
        if self.lines > _MOST_TOLD:
            write_line(f"kchat: {self._name}: {self.lines:,} damaged lines in all")


class _Left:
    """How long it will take."""

    def __init__(
        self, recording: Recording, replay: Any, *, speed: float | None, longest_pause: float | None
    ) -> None:
        self._recording, self._replay = recording, replay
        self._speed, self._longest_pause = speed, longest_pause
        self._whole: float | None = None

    def look(self) -> None:
        """Find out how long the recording is, in a thread of its own: a compressed one has to be read for that."""
        if self._recording.size is not None:
            Thread(target=self._look, name="kchat recording", daemon=True).start()

    def _look(self) -> None:
        self._whole = self._recording.duration(self._longest_pause)

    def text(self, seconds: float) -> str:
        """``, 1:05 left``; empty while it is not known.

        Arguments:
            seconds: since it began.
        """
        share = self._recording.share_read
        if self._speed is not None:
            if self._whole is None:
                return ""
            return f", {_clock((self._whole - self._replay.passed) / self._speed)} left"
        return f", {_clock(seconds / share - seconds)} left" if share else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
