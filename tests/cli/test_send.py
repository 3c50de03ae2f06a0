"""What ``kchat send`` takes for a message, and what it reports of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click
import pytest

from kchat.cli import COMMANDS
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until

KCHAT = [sys.executable, "-m", "kchat"]


def texts(commands: Commands, url: str, room: str = "chat") -> list[str]:
    """What is in an embedded room, oldest first."""
    read = ["subscribe", "-q", "--mode", "json", "--last", "100000", "--idle-timeout", "0.2"]
    result = commands.run_kchat(*read, "--url", url, "--room", room)
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


def receipts(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_standard_input_is_sent_where_no_message_is_given(commands: Commands, local_url: str) -> None:
    assert commands.run_kchat("send", "--url", local_url, stdin="hi\nthere\n").code == 0
    assert commands.run_kchat("send", "--url", local_url, "-", stdin="the same").code == 0
    assert texts(commands, local_url) == ["hi", "there", "the same"]


def test_a_message_that_is_given_leaves_standard_input_alone(commands: Commands, local_url: str) -> None:
    script = f'while read line; do "$0" -m kchat send -q --url {local_url} "$line"; done'
    done = commands.start(["sh", "-c", script, sys.executable], stdin=True)
    done.write("one\ntwo\n")
    done.close_stdin()
    assert done.wait() == 0
    assert texts(commands, local_url) == ["one", "two"]


def test_no_message_and_nothing_on_standard_input_is_wrong_usage_and_contacts_nothing(
    commands: Commands, local_url: str
) -> None:
    for words in (["--url", local_url], ["--host", "127.0.0.1", "--port", str(free_port())]):
        result = commands.run_kchat("send", *words, stdin="")
        assert (result.code, len(result.stderr.splitlines())) == (2, 2)
        assert "Missing message" in result.stderr
        assert "standard input is empty" in result.stderr
    assert not list(commands.home.parent.glob("room.db*"))
    # A stream that somebody asked for may be empty.
    assert commands.run_kchat("send", "--url", local_url, "-", stdin="").code == 0


def test_an_input_that_turns_out_to_be_empty_later_is_wrong_usage_too(
    commands: Commands, local_url: str
) -> None:
    process = commands.kchat("send", "--url", local_url, stdin=True)
    process.wait_for("sending to")
    process.close_stdin()
    assert process.wait() == 2
    assert "standard input is empty" in process.stderr


@pytest.mark.parametrize("words", [[""], ["--message", ""], ["  \t "], ["", ""], ["--bot", ""]])
def test_an_empty_or_blank_message_is_refused_and_the_way_to_send_it_is_named(
    commands: Commands, local_url: str, words: list[str]
) -> None:
    result = commands.run_kchat("send", "--url", local_url, *words)
    assert (result.code, result.stdout, len(result.stderr.splitlines())) == (2, "", 2)
    assert "--allow-empty" in result.stderr
    assert texts(commands, local_url) == []
    if words != ["--bot", ""]:
        assert commands.run_kchat("send", "--url", local_url, "--allow-empty", *words).code == 0
        assert texts(commands, local_url) == [" ".join(word for word in words if word != "--message")]


def test_blank_lines_of_a_stream_are_skipped_and_counted_or_sent_where_they_are_allowed(
    commands: Commands, local_url: str
) -> None:
    poem = "roses\n\n  \nviolets\n\n"
    result = commands.run_kchat("send", "--url", local_url, stdin=poem)
    assert result.code == 0
    assert "2 sent to" in result.stderr
    assert "3 blank lines skipped (--allow-empty sends them)" in result.stderr
    assert texts(commands, local_url) == ["roses", "violets"]
    result = commands.run_kchat("send", "--url", local_url, "--room", "all", "--allow-empty", stdin=poem)
    assert "skipped" not in result.stderr
    assert texts(commands, local_url, "all") == ["roses", "", "  ", "violets", ""]


def test_nothing_but_blank_lines_is_not_an_error_and_is_counted(commands: Commands, local_url: str) -> None:
    result = commands.run_kchat("send", "--url", local_url, stdin="\n")
    assert result.code == 0
    assert "0 sent to" in result.stderr
    assert "1 blank line skipped" in result.stderr


def test_json_has_the_receipt_of_a_message(commands: Commands, amqp_url: str, room: str) -> None:
    send = ["send", "--json", "--url", amqp_url, "-r", room, "-u", "ada"]
    (alone,) = receipts(commands.run_kchat(*send, "hello"))
    assert (alone["confirmed"], alone["routed"], alone["error"]) == (True, False, None)
    subscriber = commands.kchat("subscribe", "--url", amqp_url, "-r", room, "--mode", "json")
    subscriber.wait_for("listening")
    (heard,) = receipts(commands.run_kchat(*send, "hello"))
    assert (heard["confirmed"], heard["routed"], heard["error"]) == (True, True, None)
    assert (heard["room"], heard["username"]) == (room, "ada")
    shown = json.loads(subscriber.read_line())
    assert (shown["id"], shown["sent_at"]) == (heard["id"], heard["sent_at"])
    assert list(heard) == ["id", "sent_at", "room", "username", "confirmed", "routed", "error"]


def test_json_says_what_was_refused_of_a_message_and_of_a_stream(
    commands: Commands, amqp_url: str, local_url: str, room: str
) -> None:
    mandatory = ["send", "--json", "--url", amqp_url, "-r", room, "--mandatory"]
    one = commands.run_kchat(*mandatory, "hello")
    many = commands.run_kchat(*mandatory, stdin="hello\nagain\n")
    for result, count in ((one, 1), (many, 2)):
        found = receipts(result)
        assert (result.code, len(found)) == (1, count)
        assert {(each["confirmed"], each["routed"]) for each in found} == {(False, False)}
        assert all("nobody is listening" in each["error"] for each in found)
    small = ["--url", f"{local_url}?max_message_bytes=1000"]
    mixed = commands.run_kchat("send", "--json", *small, stdin=f"one\n{'x' * 2000}\nthree\n")
    assert mixed.code == 1
    assert sorted(each["confirmed"] for each in receipts(mixed)) == [False, True, True]


def test_json_has_a_line_for_what_was_interrupted(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, room: str, proxy_to: Callable[[int], Proxy]
) -> None:
    link = proxy_to(rabbitmq.port)
    url = rabbitmq.url_for(vhost, host=link.host, port=link.port)
    process = commands.kchat("send", "--json", "--url", url, "-r", room, stdin=True)
    process.write("one\n")
    assert json.loads(process.read_line())["confirmed"]
    link.black_hole("to_client")
    sent = link.forwarded("to_server")
    process.write("two\n")
    wait_until(lambda: link.forwarded("to_server") > sent)
    process.interrupt()
    assert process.wait() == 130
    interrupted = json.loads(process.read_line())
    assert (interrupted["confirmed"], interrupted["routed"]) == (False, None)
    assert "may or may not have been delivered" in interrupted["error"]
    assert "1 not confirmed" in process.stderr


def test_messages_come_before_receipts_that_nobody_reads(commands: Commands, local_url: str) -> None:
    numbers = "".join(f"{number}\n" for number in range(3000))
    shell = commands.start(
        ["sh", "-c", f'"$0" -m kchat send -q --json --url {local_url}; echo code $? >&2', KCHAT[0]],
        stdin=True,
    )
    shell.write(numbers)
    shell.close_stdin()
    assert shell.wait() == 0
    gone = subprocess.Popen(
        [*KCHAT, "send", "--json", "--url", local_url, "--room", "gone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=commands.environment,
    )
    assert gone.stdout is not None
    gone.stdout.close()
    gone.stdout = None
    _, said = gone.communicate(numbers.encode(), timeout=60)
    assert (gone.returncode, b"3,000 sent" in said) == (0, True), said
    assert len(texts(commands, local_url, "gone")) == 3000


def test_receipts_on_a_full_disk_are_an_error_and_all_is_sent(commands: Commands, local_url: str) -> None:
    numbers = "".join(f"{number}\n" for number in range(300))
    for words, stdin, total in ((["hi"], "", 1), ([], numbers, 300)):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            done = subprocess.run(
                [*KCHAT, "send", "--json", "--url", local_url, "--room", str(total), *words],
                input=stdin.encode(),
                stdout=full,
                stderr=subprocess.PIPE,
                env=commands.environment,
                timeout=60,
                check=False,
            )
        assert done.returncode == 1
        assert b"cannot write the output: No space left" in done.stderr
        assert len(texts(commands, local_url, str(total))) == total


def test_every_command_with_a_room_or_a_username_has_the_short_options() -> None:
    short = {"room": "-r", "username": "-u"}
    found = set()
    for name in COMMANDS:
        command = import_module(f"kchat.cli.{name}").command
        for option in command.params:
            if isinstance(option, click.Option) and option.name in short:
                assert short[option.name] in option.opts, (name, option.name)
                found.add((name, option.name))
    assert {("send", "room"), ("send", "username"), ("subscribe", "username"), ("chat", "username")} <= found
    assert {("who", "room"), ("join", "room"), ("doctor", "room")} <= found


def test_short_options_name_the_room_and_the_sender(commands: Commands, local_url: str) -> None:
    assert commands.run_kchat("send", "--url", local_url, "-u", "ada", "-r", "lunch", "soup").code == 0
    said = commands.run_kchat(
        "subscribe", "-q", "--url", local_url, "-r", "lunch", "--last", "1", "--limit", "1"
    )
    assert "ada" in said.stdout
