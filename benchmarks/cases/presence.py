"""Who is here, on AMQP: what people who do nothing but be here cost the broker and themselves."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import sysconf
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Failed, Figures, Side
from kchat import Settings
from kchat.client.connection import connect

SIZES = (20, 100, 500)
SETTLED, SECONDS = 65.0, 60.0
"""Seconds after which all have spoken twice and speak at their own times; and of the measuring."""


@contextmanager
def presence(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """20, 100 and 500 people."""

    def side(size: int) -> Side:
        return lambda: present(bench, bench.count(size))

    yield {str(size): side(size) for size in SIZES}


def present(bench: Bench, people: int) -> Figures:
    """What they cost while they are here."""
    url, room = bench.amqp, bench.new_room()
    broker = server_of(urlsplit(url).port or 5672)
    command = bench.drive("present", url, room, people)
    with bench.running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Failed("not everybody could join")
        time.sleep(5.0 if bench.quick else SETTLED)
        start, used, own = time.monotonic(), cpu(broker), cpu(process.pid)
        heard = listen(url, room, 10.0 if bench.quick else SECONDS)
        seconds = time.monotonic() - start
        used, own = cpu(broker) - used, cpu(process.pid) - own
        process.stdin.close()
        known = json.loads(process.stdout.readline())
    # In the first minute those who joined earlier are not known yet.
    if not bench.quick and (known["least"] < people or known["problems"]):
        raise Failed(f"somebody knew of {known['least']} out of {people}")
    return {
        "broker's CPU %": 100 * used / seconds,
        "CPU % a person": 100 * own / seconds / people,
        "announcements a person and minute": heard / people * 60 / seconds,
        "deliveries/s": heard * people / seconds,
    }


def listen(url: str, room: str, seconds: float) -> int:
    """How many announcements come in that time."""
    settings = Settings.resolve(url=url, room=room)
    policy = settings.transport.presence(room)
    connection, _ = connect(settings, purpose="bench")
    channel = connection.channel()
    channel.auto_decode = False
    queue, _ = policy.join(channel, "bench", None, account=settings.transport.account(connection))
    count = 0

    def note(_: object) -> None:
        nonlocal count
        count += 1

    queue.consume("bench", note, no_ack=True)
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        try:
            connection.drain_events(timeout=left)
        except TimeoutError:
            break
    settings.transport.close(connection)
    return count


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
        (
            Bar("500", "announcements a person and minute", at_most=2),
            Bar("500", "broker's CPU %", at_most=100),
        ),
        rounds=1,
        by="people",
        alone=True,
    )
]
