"""Who listens and who speaks: processes of kchat's commands, or, where only one process meets, objects in this one."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from kchat import Message, Sender, Subscriber
from tests.brokers.processes import Commands, Process
from tests.brokers.wait import Deadline, soon
from tests.contract.places import Place, Way

SECONDS = 60.0
"""How long a test waits for messages. Milliseconds are usual; the Pub/Sub emulator takes its time."""

SEND_SECONDS = 60.0
"""How long a process that sends may take. The Pub/Sub emulator takes about 160 messages a second with an ordering key."""


class Heard(NamedTuple):
    """A message as it was shown."""

    username: str | None
    text: str


class Listener(abc.ABC):
    """Somebody in a room."""

    @abc.abstractmethod
    def hear(self, count: int, seconds: float = SECONDS) -> list[Heard]:
        """Waits until this number of messages has come, and returns all that are there."""

    @abc.abstractmethod
    def leave(self) -> None:
        """Goes as one does: by Ctrl+C."""

    def texts(self, count: int, seconds: float = SECONDS) -> list[str]:
        """Waits until this number of messages has come, and returns the texts of all that are there."""
        return [routed.text for routed in self.hear(count, seconds)]


class ProcessListener(Listener):
    """``kchat subscribe --mode json`` in a process, listening."""

    def __init__(self, process: Process) -> None:
        self.process = process
        process.wait_for("listening", seconds=SECONDS)

    def hear(self, count: int, seconds: float = SECONDS) -> list[Heard]:
        lines = [json.loads(line) for line in self.process.wait_for_lines(count, seconds)]
        return [Heard(line["username"], line["message"]) for line in lines]

    def leave(self) -> None:
        self.process.interrupt()
        assert self.process.wait(SECONDS) == 0, self.process.stderr


class ObjectListener(Listener):
    """A subscriber in this process."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._heard: list[Heard] = []
        subscriber.open()

    def hear(self, count: int, seconds: float = SECONDS) -> list[Heard]:
        deadline = Deadline(soon(seconds))
        while len(self._heard) < count and not deadline.passed:
            self._take(deadline.left)
        self._take(0)
        assert len(self._heard) >= count, f"only {self._heard}"
        return list(self._heard)

    def _take(self, timeout: float) -> None:
        self._heard += [Heard(each.username, each.text) for each in self._subscriber.receive(timeout)]
        self._subscriber.acknowledge()

    def leave(self) -> None:
        self._subscriber.close()


class People:
    """Lets people into the rooms of a place.

    Arguments:
        place: where the rooms are.
        commands: starts processes.
        stack: closes what was opened here.
    """

    def __init__(self, place: Place, commands: Commands, stack: ExitStack) -> None:
        self.place = place
        self._commands = commands
        self._stack = stack

    def listener(self, room: str, *options: str, username: str = "bob") -> Listener:
        """Returns a subscriber.

        Arguments:
            room: the room.
            options: more options of ``kchat subscribe``.
            username: stands in the queue's name.
        """
        if self.place.across_processes:
            return self.process_listener(room, *options, username=username)
        assert not options
        subscriber = Subscriber(self.place.settings(room), username)
        self._stack.callback(subscriber.close)
        return ObjectListener(subscriber)

    def process_listener(self, room: str, *options: str, username: str = "bob") -> ProcessListener:
        """Returns a subscriber in a separate process."""
        return ProcessListener(
            self._start("subscribe", room, "--mode", "json", "--username", username, *options)
        )

    def listener_by(self, way: Way, room: str, *options: str, username: str = "bob") -> ProcessListener:
        """Returns a subscriber in a separate process, by some other way."""
        words = ["--url", way.url, "--room", room, "--mode", "json", "--username", username, *options]
        return ProcessListener(self._commands.kchat("subscribe", *words, env=way.environment))

    def say(self, room: str, *texts: str, username: str = "ada") -> None:
        """Sends texts, each from a process that does nothing else and ends; in one process where only one meets."""
        if not self.place.across_processes:
            self.say_here(room, *texts, username=username)
            return
        for text in texts:
            process = self._start("send", room, "--allow-empty", "--username", username, "--message", text)
            assert process.wait(SEND_SECONDS) == 0, process.stderr

    def say_here(self, room: str, *texts: str, username: str = "ada") -> None:
        """Sends texts from this process."""
        with Sender(self.place.settings(room), username) as sender:
            for text in texts:
                sender.send(text)

    def say_at_once(self, room: str, speeches: Mapping[str, Sequence[str]]) -> None:
        """Sends many texts by several people at the same time, each in one go.

        Arguments:
            room: the room.
            speeches: the texts of each, by username.
        """
        if not self.place.across_processes:
            with ExitStack() as stack:
                streams = [
                    stack.enter_context(Sender(self.place.settings(room), name)).send_many(texts)
                    for name, texts in speeches.items()
                ]
                for receipts in zip(*streams, strict=True):
                    assert all(receipt.confirmed for receipt in receipts)
            return
        processes = []
        for name, texts in speeches.items():
            process = self._start("send", room, "--allow-empty", "--username", name, "-", stdin=True)
            process.write("".join(f"{text}\n" for text in texts))
            process.close_stdin()
            processes.append(process)
        for process in processes:
            assert process.wait(SEND_SECONDS) == 0, process.stderr

    def try_to_say(self, way: Way, room: str, text: str) -> Process:
        """Returns a process that sends one text by some other way, ended."""
        words = ["send", "--url", way.url, "--room", room, "--username", "ada", text]
        process = self._commands.kchat(*words, env=way.environment)
        process.wait(SEND_SECONDS)
        return process

    def run(self, *arguments: str) -> Process:
        """Returns a process of any kchat command, ended."""
        process = self._commands.kchat(*arguments, env=self.place.way.environment)
        process.wait(SECONDS)
        return process

    def _start(self, command: str, room: str, *options: str, stdin: bool = False) -> Process:
        way = self.place.way
        return self._commands.kchat(
            command, "--url", way.url, "--room", room, *options, stdin=stdin, env=way.environment
        )


@contextmanager
def people_at(place: Place, commands: Commands) -> Iterator[People]:
    """Gives the people of a place, and sees them out."""
    with ExitStack() as stack:
        yield People(place, commands, stack)


def drain(subscriber: Subscriber, count: int, seconds: float = SECONDS) -> list[Message]:
    """Receives until this number of messages is there, in this process.

    Raises:
        AssertionError: they did not come in time.
    """
    deadline = Deadline(soon(seconds))
    messages: list[Message] = []
    while len(messages) < count and not deadline.passed:
        messages += subscriber.receive(deadline.left)
        subscriber.acknowledge()
    assert len(messages) >= count, f"only {[message.text for message in messages]}"
    return messages
