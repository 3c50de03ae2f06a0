"""Who is here, on AMQP: what people who do nothing but be here cost the broker and themselves."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import sysconf
from pathlib import Path
from urllib.parse import urlsplit

from amqp.exceptions import NotFound

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Failed, Figures, Side
from kchat import Settings
from kchat.client.announcer import INTERVAL, SOONER
from kchat.client.connection import connect
from kchat.client.crowd import CROWD, KEEPERS
from kchat.message.announcement import Announcement
from kchat.transports.protocols import Delivery

SIZES = (20, 100, 500)
SETTLED, SECONDS = 5.0, 30.0
"""Seconds that the broker gets after the joining; and of the measuring."""


@contextmanager
def presence(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """20, 100 and 500 people, of whom one is a real subscriber; and in crowds, what it would be if all heard each other."""

    def side(size: int, keepers: int) -> Side:
        return lambda: present(bench, bench.count(size), keepers)

    sides = {str(size): side(size, KEEPERS if size > CROWD else size) for size in SIZES}
    yield sides | {f"{size}, all hear all": side(size, size) for size in SIZES if size > CROWD}


def present(bench: Bench, people: int, keepers: int) -> Figures:
    """What they cost while they are here and nobody says anything."""
    url, room = bench.amqp, bench.new_room()
    broker, pause = server_of(urlsplit(url).port or 5672), INTERVAL - SOONER / 2
    with bench.running(
        bench.drive("present", url, room, people, pause, min(people, keepers)), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Failed("not everybody could join")
        with bench.listening(
            bench.kchat("subscribe", "--url", url, "--room", room), subprocess.DEVNULL
        ) as own:
            time.sleep(SETTLED)
            start, used, mine = time.monotonic(), cpu(broker), cpu(own.pid)
            announced, lists = listen(url, room, 10.0 if bench.quick else SECONDS)
            seconds = time.monotonic() - start
            used, mine = cpu(broker) - used, cpu(own.pid) - mine
    wait_until_left(url, room)
    return {
        "deliveries/s": (announced * min(people, keepers) + lists * people) / seconds,
        "broker's CPU %": 100 * used / seconds,
        "a subscriber's CPU %": 100 * mine / seconds,
    }


def listen(url: str, room: str, seconds: float) -> tuple[int, int]:
    """How many announcements come in that time: without a list, and with one."""
    settings = Settings.resolve(url=url, room=room)
    policy = settings.transport.presence(room)
    connection, _ = connect(settings, purpose="bench")
    channel = connection.channel()
    channel.auto_decode = False
    queue, _ = policy.join(channel, "bench", None, account=settings.transport.account(connection))
    counts = [0, 0]

    def note(delivery: Delivery) -> None:
        said = Announcement.decode(
            delivery.body if isinstance(delivery.body, bytes) else delivery.body.encode()
        )
        counts[said is not None and said.count >= 0] += 1

    queue.consume("bench", note, no_ack=True)
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        try:
            connection.drain_events(timeout=left)
        except TimeoutError:
            break
    settings.transport.close(connection)
    return counts[0], counts[1]


def wait_until_left(url: str, room: str, seconds: float = 120.0) -> None:
    """Until the broker has deleted all queues of those who were there, and the exchange with them."""
    settings = Settings.resolve(url=url, room=room)
    connection, _ = connect(settings, purpose="bench")
    ends = time.monotonic() + seconds
    with suppress(NotFound):
        while time.monotonic() < ends:
            settings.transport.presence(room).exchange(connection.channel()).declare(passive=True)
            time.sleep(0.5)
    settings.transport.close(connection)


def cpu(pid: int) -> float:
    """Processor time that all threads of a process have used so far (Linux), to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / sysconf("SC_CLK_TCK")


def server_of(port: int) -> int:
    """The process that listens on a port of this machine (Linux)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                return int(link.parts[2])
        except OSError:
            continue
    raise Failed(f"no process of this machine is seen to listen on port {port}")


CASES = [
    Case(
        "amqp-presence",
        "20 to 500 people who are here, on AMQP",
        presence,
        (Bar("500", "broker's CPU %", at_most=30), Bar("500", "a subscriber's CPU %", at_most=2)),
        rounds=1,
        by="people",
        alone=True,
    )
]
