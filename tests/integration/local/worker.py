"""A process at an embedded room, for the tests: ``worker.py URL WHAT ARGUMENTS``. Speaks line by line."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import kombu

from kchat import transports


def say(*words: object) -> None:
    print(*words, flush=True)


def subscribe(connection: Any, exchange: str, count: str = "0") -> None:
    """Print each message of a fanout exchange, from now on; end after ``count``, if that is not 0."""
    channel = connection.channel()
    channel.exchange_declare(exchange, "fanout")
    queue = channel.queue_declare(exclusive=True, auto_delete=True).queue
    channel.queue_bind(queue, exchange)
    seen = 0

    def show(message: Any) -> None:
        nonlocal seen
        seen += 1
        say(message.body.decode())
        channel.basic_ack(message.delivery_tag)

    channel.basic_consume(queue, callback=show)
    say("listening", queue)
    while not int(count) or seen < int(count):
        connection.drain_events()


def send(connection: Any, exchange: str, routing_key: str, prefix: str, count: str) -> None:
    """Publish ``prefix 0`` to ``prefix <count - 1>``."""
    channel = connection.channel()
    for number in range(int(count)):
        channel.basic_publish(channel.prepare_message(f"{prefix} {number}"), exchange, routing_key)
    say("sent", count)


def flood(connection: Any, exchange: str) -> None:
    """Publish 0, 1, 2, ... and print each number once it is committed, until killed."""
    channel = connection.channel()
    say("sending")
    number = 0
    while True:
        channel.basic_publish(channel.prepare_message(str(number)), exchange)
        say(number)
        number += 1


def stream(connection: Any, exchange: str) -> None:
    """Publish 0, 1, 2, ... with confirmations, and print the last number of each one, until killed."""
    channel = connection.channel()
    channel.confirm_select()
    channel.events["basic_ack"] = {lambda tag, multiple: say(tag - 1)}
    say("sending")
    number = 0
    while True:
        channel.basic_publish(channel.prepare_message(str(number)), exchange)
        number += 1
        if not number % 100:
            connection.drain_events(timeout=1)


def compete(connection: Any, queue: str, prefetch: str = "0") -> None:
    """Take from a shared queue and acknowledge, printing each."""
    channel = connection.channel()
    channel.basic_qos(0, int(prefetch), False)

    def show(message: Any) -> None:
        say(message.body.decode())
        channel.basic_ack(message.delivery_tag)

    channel.basic_consume(queue, callback=show)
    say("listening")
    while True:
        connection.drain_events()


def hold(connection: Any, queue: str, count: str) -> None:
    """Take a number of messages and never acknowledge them."""
    channel = connection.channel()
    channel.basic_qos(0, int(count), False)
    channel.basic_consume(queue, callback=lambda message: say(message.body.decode()))
    say("listening")
    while True:
        connection.drain_events()


def own(connection: Any, queue: str, exchange: str = "") -> None:
    """Have an exclusive queue, and do nothing else."""
    channel = connection.channel()
    channel.queue_declare(queue, exclusive=True)
    if exchange:
        channel.queue_bind(queue, exchange)
    say("owned")
    sys.stdin.read()
    time.sleep(3600)


def fork(connection: Any, queue: str) -> None:
    """Own an exclusive queue, and fork a child that outlives this process."""
    channel = connection.channel()
    channel.queue_declare(queue, exclusive=True)
    child = os.fork()
    if not child:
        try:
            channel.basic_publish(channel.prepare_message("from the child"), "", queue)
        except connection.recoverable_connection_errors as error:
            say("refused", error)
        time.sleep(3600)
    say("forked", child)
    time.sleep(3600)


def main() -> None:
    """Run what the command line says."""
    transports.register()
    what = {
        function.__name__: function for function in (subscribe, send, flood, stream, compete, hold, own, fork)
    }
    with kombu.Connection(sys.argv[1]) as connection:
        what[sys.argv[2]](connection, *sys.argv[3:])


if __name__ == "__main__":
    main()
