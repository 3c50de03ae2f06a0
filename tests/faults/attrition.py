"""Attrition: processes killed and links cut by the hundred, and every confirmed message looked for. `nox -s attrition`.

Senders and durable subscribers are ended by `kill -9` in the middle of their work, on RabbitMQ and on the embedded room. The
links of others to RabbitMQ are cut, by a reset and by silence. In each group two durable subscribers look: the `reader` is
killed or cut where subscribers are, the `witness` is left alone. The exit code is 1 where either of them

- has not seen a message that its sender reported as confirmed,
- has not seen a sender's messages in order and without a hole,
- has shown one twice as the same process, or again after a kill where neither the broker says that it was delivered before
  nor its sender that it lost a connection and sent again what was not confirmed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ, find_rabbitmq
from tests.brokers.wait import wait_until
from tests.faults.attrition_parts import (
    HURRIED,
    START_SECONDS,
    USUAL,
    CommandSender,
    Patience,
    Reader,
    Stream,
    TracedSender,
)

ROOM = "attrition"
KILLS_A_GROUP = 21
CUTS_A_GROUP = 15
MOMENTS = (0.02, 0.5)
"""Seconds that a process works, at the most, between its first message and the kill; a random part of one of these. The
short one hits subscribers while they catch up."""
ABSENCE = 0.7
"""Seconds that a killed subscriber is away, at the most, so that there is something to catch up with."""
SILENCE = (2.5, 4.5)
"""Seconds for which a link is silent: longer than two heartbeats and than the wait for a confirmation."""

Kind = type[TracedSender] | type[CommandSender]
VICTIMS: dict[str, list[Kind]] = {
    "senders": [TracedSender],
    "kchat send -": [CommandSender],
    "subscribers": [TracedSender, TracedSender],
    "mixed": [TracedSender, CommandSender],
}
"""The processes to kill, and the senders at work meanwhile. Subscribers are killed in two of the four."""


@dataclass
class Seen:
    """What came of a group, or of all groups of a kind."""

    times: int = 0
    confirmed: int = 0
    shown: int = 0
    lost: int = 0
    disordered: int = 0
    twice: int = 0
    again: int = 0
    longest_gap: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Adds another group's."""
        self.times += other.times
        self.confirmed += other.confirmed
        self.shown += other.shown
        self.lost += other.lost
        self.disordered += other.disordered
        self.twice += other.twice
        self.again += other.again
        self.longest_gap = max(self.longest_gap, other.longest_gap)
        self.problems += other.problems

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.disordered or self.twice or self.problems)


class Group:
    """A room with its senders and its two durable subscribers.

    Arguments:
        commands: starts processes in a home of their own.
        sender_url: for the senders.
        reader_url: for the reader.
        witness_url: for the witness.
        patience: of the senders and the reader.
    """

    def __init__(
        self, commands: Commands, sender_url: str, reader_url: str, witness_url: str, patience: Patience
    ) -> None:
        self.seen = Seen()
        self._commands, self._sender_url, self._patience = commands, sender_url, patience
        self._names = (f"sender-{number}" for number in count())
        self._streams: list[Stream] = []
        self.witness = Reader(commands, witness_url, ROOM, "witness", USUAL)
        self.reader = Reader(commands, reader_url, ROOM, "reader", patience)

    def start(self, kind: Kind) -> Stream:
        """Starts a sender."""
        name = next(self._names)
        self._streams.append(kind(self._commands, self._sender_url, ROOM, name, self._patience))
        return self._streams[-1]

    def finish(self, running: list[Stream]) -> None:
        """Has the senders end that still run, waits for what they sent, and looks whether it is all there."""
        for stream in running:
            stream.end()
        confirmed = {(each.username, number) for each in self._streams for number in range(each.confirmed())}
        self.seen.confirmed = len(confirmed)
        for reader in (self.reader, self.witness):
            until = time.monotonic() + START_SECONDS
            while not confirmed <= reader.seen() and time.monotonic() < until:
                time.sleep(0.1)
            if (code := reader.process.end()) != 0:
                self.seen.problems.append(f"{reader.name} ended with {code}: {reader.process.said}")
            self.seen.lost += len(confirmed - reader.seen())
            self._check(reader)
        self.seen.shown = len(self.witness.seen())

    def _check(self, reader: Reader) -> None:
        """Looks at what a reader has shown: each sender's from 0 on, each message once for each process."""
        repeated = {each.username for each in self._streams if each.has_repeated()}
        due: dict[str, int] = {}
        before: set[tuple[str, int]] = set()
        for life in reader.lives:
            now: set[tuple[str, int]] = set()
            for username, number, redelivered in life.keys:
                key = username, number
                if key in now or (key in before and not (redelivered or username in repeated)):
                    self.seen.twice += 1
                elif key in before:
                    self.seen.again += 1
                else:
                    self.seen.disordered += number != due.get(username, 0)
                    due[username] = number + 1
                now.add(key)
            before |= now
        self.seen.longest_gap = max(self.seen.longest_gap, reader.longest_gap())

    def end(self) -> None:
        """Ends what still runs after a failure."""
        for process in (*(each.process for each in self._streams), self.reader.process, self.witness.process):
            if process.running:
                process.kill()


def until_begun(who: Stream | Reader) -> None:
    """Waits until it is in the middle of its work."""
    wait_until(who.begun, START_SECONDS, lambda: f"at work: {who.process.said}", pause=0.002)


def kill(group: Group, victims: str, kills: int) -> None:
    """Kills processes of a group, one after the other, and starts another one in the place of each.

    Arguments:
        group: the group.
        victims: ``senders``, ``kchat send -``, ``subscribers`` or ``mixed``.
        kills: how many.
    """
    kinds = VICTIMS[victims]
    streams = [group.start(kind) for kind in kinds]
    places = [-1] * (victims in ("subscribers", "mixed")) + list(range(len(kinds))) * (
        victims != "subscribers"
    )
    for _ in range(kills):
        place = random.choice(places)
        victim = group.reader if place < 0 else streams[place]
        if random.random() < 0.85:  # the others are killed while they start
            until_begun(victim)
        time.sleep(random.random() * random.choice(MOMENTS))
        if not victim.process.running:
            group.seen.problems.append(f"ended by itself: {victim.process.said}")
        victim.process.kill()
        group.seen.times += 1
        if place < 0:
            time.sleep(random.random() * ABSENCE)
            group.reader.start()
        else:
            streams[place] = group.start(kinds[place])
    for stream in streams:
        until_begun(stream)
    group.finish(streams)


def cut(group: Group, how: str, cuts: int, links: list[Proxy]) -> None:
    """Cuts links of a group, one of them or all at once, and mends them.

    Arguments:
        group: the group, whose senders and whose reader have a link each.
        how: ``reset`` or ``silent``.
        cuts: how many.
        links: all of them.
    """
    streams = [group.start(TracedSender), group.start(CommandSender)]
    for stream in streams:
        until_begun(stream)
    for _ in range(cuts):
        cut_once(group, how, random.choice([*([link] for link in links), links]))
    group.finish(streams)


def cut_once(group: Group, how: str, links: list[Proxy]) -> None:
    """Cuts these links at once, mends them, and waits for messages to flow again."""
    wait_until(lambda: all(link.connections for link in links), START_SECONDS, "connections to cut")
    time.sleep(random.random() * max(MOMENTS))
    accepted = sum(link.accepted for link in links)
    for link in links:
        if how == "reset":
            link.cut()
        else:
            link.black_hole()
    group.seen.times += 1
    if how == "silent":
        time.sleep(random.uniform(*SILENCE))
    for link in links:
        link.restore()
    wait_until(
        lambda: sum(link.accepted for link in links) > accepted, START_SECONDS, "connections made again"
    )
    shown = group.reader.lives[-1].look()
    wait_until(lambda: group.reader.lives[-1].look() > shown, START_SECONDS, "messages after the cut")


# ---- groups, and where they are


@contextmanager
def on_rabbitmq(rabbitmq: RabbitMQ, folder: Path, links: list[Proxy]) -> Iterator[Group]:
    """A group in a virtual host of its own; its senders and its reader come by these links, where there are some."""
    with rabbitmq.new_vhost() as vhost:
        url = rabbitmq.url_for(vhost)
        by = [rabbitmq.url_for(vhost, host=link.host, port=link.port) for link in links] or [url, url]
        with started(folder, by[0], by[1], url, HURRIED if links else USUAL) as group:
            yield group


@contextmanager
def started(
    folder: Path, sender_url: str, reader_url: str, witness_url: str, patience: Patience
) -> Iterator[Group]:
    """A group that is ended whatever happens."""
    folder.mkdir()
    group = Group(Commands(folder), sender_url, reader_url, witness_url, patience)
    try:
        yield group
    finally:
        group.end()


class Attrition:
    """All groups, some of them at a time.

    Arguments:
        folder: an empty one for their files.
        rabbitmq: the broker.
        at_once: how many groups at a time.
    """

    def __init__(self, folder: Path, rabbitmq: RabbitMQ | None, at_once: int) -> None:
        self.rows: dict[tuple[str, str], Seen] = {}
        self._folder, self._rabbitmq = folder, rabbitmq
        self._numbers = count()
        self._pool = ThreadPoolExecutor(at_once)
        self._began = time.monotonic()

    def kills(self, transport: str, total: int) -> None:
        """Adds groups whose processes are killed."""
        whats = ("senders", "kchat send -", "subscribers", "mixed")
        for number, what in enumerate(whats):
            self._share(transport, f"killed: {what}", _part(total, number, len(whats)), KILLS_A_GROUP)

    def cuts(self, total: int) -> None:
        """Adds groups whose links are cut."""
        for number, what in enumerate(("reset", "silent")):
            self._share("RabbitMQ", f"links cut: {what}", _part(total, number, 2), CUTS_A_GROUP)

    def _share(self, transport: str, what: str, total: int, most: int) -> None:
        if not total:
            return
        row = self.rows[transport, what] = Seen()
        groups = -(-total // most)
        for number in range(groups):
            times = _part(total, number, groups)
            self._pool.submit(self._run, row, transport, what, times)

    def _run(self, row: Seen, transport: str, what: str, times: int) -> None:
        folder = self._folder / f"group-{next(self._numbers)}"
        kind, _, how = what.partition(": ")
        seen = Seen()
        try:
            with ExitStack() as stack:
                if transport == "embedded":
                    url = f"local://{folder}/room.db"
                    group = stack.enter_context(started(folder, url, url, url, USUAL))
                    links = []
                else:
                    assert self._rabbitmq is not None
                    to = self._rabbitmq.port, self._rabbitmq.host
                    links = [stack.enter_context(Proxy(*to)) for _ in range(2 * (kind == "links cut"))]
                    group = stack.enter_context(on_rabbitmq(self._rabbitmq, folder, links))
                seen = group.seen
                if links:
                    cut(group, how, times, links)
                else:
                    kill(group, how, times)
        except Exception as error:  # noqa: BLE001 - it is a row of the table, and the others go on
            seen.problems.append(f"{transport}, {what}: {error}\n{traceback.format_exc()}")
        row.add(seen)
        mark = "" if seen.is_good else f"  NOT GOOD, see {folder}"
        now = time.monotonic() - self._began
        print(
            f"{now:4.0f} s  {transport}, {what}: {seen.times} times, {seen.confirmed:,} confirmed{mark}\n",
            end="",
            flush=True,
        )

    def wait(self) -> None:
        """Returns when all groups are done; interrupted, when those are that have begun."""
        try:
            self._pool.shutdown()
        except KeyboardInterrupt:
            self._pool.shutdown(cancel_futures=True)
            raise

    def table(self) -> Iterator[str]:
        """The rows, a line each."""
        numbers = ("times", "confirmed", "shown", "lost", "disordered", "twice", "again")
        lines = [["transport", "what", *numbers, "longest gap"]]
        for (transport, what), seen in self.rows.items():
            values = (f"{getattr(seen, each):,}" for each in numbers)
            lines.append([transport, what, *values, f"{seen.longest_gap:.1f} s"])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            yield "  ".join(map(str.ljust, line, widths)).rstrip()


def _part(total: int, number: int, parts: int) -> int:
    """The size of one of several nearly equal parts."""
    return total * (number + 1) // parts - total * number // parts


def main() -> int:
    """Runs all of it; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500, help="half on each transport; default 500")
    parser.add_argument("--cuts", type=int, default=300, help="half by reset, half silent; default 300")
    parser.add_argument("--groups", type=int, default=6, help="groups at a time; default 6")
    parser.add_argument("--only", choices=["rabbitmq", "embedded"], help="one transport")
    parser.add_argument(
        "--keep", type=Path, help="an empty folder for all that was written; default one that is deleted"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbitmq = None
        if options.only != "embedded":
            rabbitmq = stack.enter_context(find_rabbitmq(folder / "rabbitmq"))
        attrition = Attrition(folder, rabbitmq, options.groups)
        if rabbitmq is not None:
            attrition.kills("RabbitMQ", options.kills if options.only else options.kills // 2)
            attrition.cuts(options.cuts)
        if options.only != "rabbitmq":
            attrition.kills("embedded", options.kills if options.only else options.kills - options.kills // 2)
        attrition.wait()
        problems = [each for row in attrition.rows.values() for each in row.problems]
        print("", *attrition.table(), *(f"PROBLEM: {each}" for each in problems), sep="\n")
        good = all(row.is_good for row in attrition.rows.values())
        print("passed" if good else "failed")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
