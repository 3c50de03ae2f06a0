"""`kchat subscribe --room a --room b`: several rooms by one connection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from kchat import Message, Sender, Settings
from kchat.client.connection import connect
from kchat.client.several import Subscribers
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.wait import wait_until

ROOMS = ["-r", "lunch", "-r", "ops"]


class Rooms:
    """The rooms lunch, ops and others of a broker, of which each has a history."""

    def __init__(self, url: str, commands: Commands) -> None:
        self.url = url
        self.settings = Settings.resolve(url=url)
        self._commands = commands

    def switch_history_on(self) -> None:
        for room in ("lunch", "ops", "other"):
            connection, _ = connect(self.settings, purpose="test")
            self.settings.transport.history(room).switch_on(connection.channel())
            connection.release()

    def send(self, room: str, *texts: str) -> None:
        with Sender(replace(self.settings, room=room), "ada") as sender:
            list(sender.send_many(texts))

    def start(self, *words: str, url: str | None = None) -> Process:
        return self._commands.kchat("subscribe", "--url", url or self.url, *ROOMS, *words)

    def lines(self, *words: str) -> list[str]:
        """What `kchat subscribe` shows that ends by itself."""
        done = self._commands.run_kchat("subscribe", "-q", "--url", self.url, *ROOMS, *words)
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture(params=["local", "amqp"])
def rooms(request: pytest.FixtureRequest, commands: Commands) -> Rooms:
    made = Rooms(request.getfixturevalue(f"{request.param}_url"), commands)
    if request.param == "amqp":
        made.switch_history_on()
    return made


def test_the_room_is_in_every_line_and_object(rooms: Rooms) -> None:
    rooms.send("lunch", "soup")
    rooms.send("other", "not shown")
    rooms.send("ops", "deploy\ndone")
    held = ["--last", "9", "--no-follow"]
    objects = [json.loads(line) for line in rooms.lines(*held, "--mode", "json")]
    assert {(each["room"], each["message"]) for each in objects} == {
        ("lunch", "soup"),
        ("ops", "deploy\ndone"),
    }
    plain = rooms.lines(*held)
    assert sorted(line[9:] for line in plain) == ["[lunch] ada: soup", "[ops] ada: deploy", "| done"]
    printed = rooms.lines(*held, "--mode", "print")
    assert sorted(line.split("{")[0] for line in printed) == ["Received [lunch] ", "Received [ops] "]
    rich = rooms.lines(*held, "--mode", "rich")
    assert any(line.endswith("  [lunch] soup") for line in rich)
    assert sorted(rooms.lines(*held, "--format", "{room}: {text}")) == ["lunch: soup", r"ops: deploy\ndone"]


def test_what_a_sender_says_of_the_room_is_not_taken_for_it(rooms: Rooms) -> None:
    with Sender(replace(rooms.settings, room="lunch"), "ada") as sender:
        sender.send(Message.compose("eve", "hi", extra={"room": "ops"}))
    (found,) = [json.loads(line) for line in rooms.lines("--last", "9", "--no-follow", "--mode", "json")]
    assert (found["room"], found["extra"]) == ("lunch", {"room": "ops"})


def test_a_room_that_is_named_twice_is_one_room_and_shown_as_one(commands: Commands, local_url: str) -> None:
    Rooms(local_url, commands).send("lunch", "soup")
    twice = ["-r", "lunch", "-r", "lunch", "--last", "9", "--no-follow"]
    done = commands.run_kchat("subscribe", "--url", local_url, *twice)
    assert (done.stdout[9:], done.code) == ("ada: soup\n", 0)
    by_variable = commands.run_kchat(
        "subscribe", "-q", "--url", local_url, "--last", "9", "--no-follow", env={"KCHAT_ROOM": "lunch"}
    )
    assert by_variable.stdout == done.stdout


def test_messages_of_all_rooms_come_as_they_are_sent_and_are_acknowledged(rooms: Rooms) -> None:
    durable = ["--durable", "work", "--no-follow", "--format", "{room} {text}"]
    assert rooms.lines(*durable) == []
    numbers = [str(number) for number in range(700)]
    rooms.send("lunch", *numbers)
    rooms.send("ops", *numbers)
    first = rooms.lines(*durable, "--limit", "1000")
    rest = rooms.lines(*durable)
    assert rooms.lines(*durable) == []
    for room in ("lunch", "ops"):
        shown = [line.split()[1] for line in [*first, *rest] if line.startswith(room)]
        assert shown == numbers, room
    assert len(first) == 1000


def test_live_messages_come_filtered_and_limited(rooms: Rooms) -> None:
    reader = rooms.start("--not", "--grep", "noise", "--limit", "3", "--format", "{room} {text}")
    said = reader.wait_for("listening")
    assert "lunch, ops at" in said
    for room, text in (("lunch", "1"), ("ops", "noise"), ("ops", "2"), ("other", "x"), ("lunch", "3")):
        rooms.send(room, text)
    assert reader.wait() == 0
    assert reader.lines == ["lunch 1", "ops 2", "lunch 3"]


def test_an_interrupted_reader_of_several_rooms_is_done(rooms: Rooms) -> None:
    reader = rooms.start()
    reader.wait_for("listening")
    reader.interrupt()
    assert reader.wait() == 0


def test_one_connection_and_after_it_was_cut_each_room_is_caught_up(
    commands: Commands, amqp_url: str, proxy_to: Callable[[int], Proxy]
) -> None:
    rooms = Rooms(amqp_url, commands)
    rooms.switch_history_on()
    port = urlsplit(amqp_url).port or 5672
    proxy = proxy_to(port)
    by_proxy = amqp_url.replace(f":{port}/", f":{proxy.port}/")
    assert by_proxy != amqp_url
    reader = rooms.start("--hidden", "--format", "{room} {text}", url=by_proxy)
    reader.wait_for("listening")
    assert proxy.accepted == 1
    sent = []
    for turn in range(5):
        for room in ("lunch", "ops"):
            rooms.send(room, f"{turn} before")
        reader.wait_for_lines(4 * turn + 2)
        proxy.refuse()
        proxy.cut()
        wait_until(lambda turn=turn: reader.stderr.count("connection lost") > turn)  # type: ignore[misc]  # bound now
        for room in ("lunch", "ops"):
            rooms.send(room, f"{turn} away")
            sent += [f"{room} {turn} before", f"{room} {turn} away"]
        proxy.restore()
        reader.wait_for_lines(4 * turn + 4)
    reader.interrupt()
    assert reader.wait() == 0
    assert sorted(reader.lines) == sorted(sent)
    for room in ("lunch", "ops"):
        shown = [line for line in reader.lines if line.startswith(room)]
        assert shown == [line for line in sent if line.startswith(room)]


def test_who_listens_is_here_in_each_room(rooms: Rooms, commands: Commands) -> None:
    reader = rooms.start("-u", "grace")
    reader.wait_for("listening")
    for room in ("lunch", "ops"):
        wait_until(
            lambda room=room: "grace" in commands.run_kchat("who", "--url", rooms.url, "-r", room).stdout,  # type: ignore[misc]
            20,
        )
    assert "grace" not in commands.run_kchat("who", "--url", rooms.url, "-r", "other").stdout


def test_a_program_iterates_over_several_rooms_and_stops_from_another_thread(rooms: Rooms) -> None:
    each = [replace(rooms.settings, room=room) for room in ("lunch", "ops")]
    with Subscribers(each, "grace") as subscribers:
        rooms.send("ops", "one")
        rooms.send("lunch", "two")
        seen = []
        for message in subscribers:
            seen.append((message.room, message.text))
            if len(seen) == 2:
                threading.Timer(0.05, subscribers.stop).start()
        assert sorted(seen) == [("lunch", "two"), ("ops", "one")]
        assert subscribers.stopped
        assert subscribers.receive(timeout=0) == []
        subscribers.open()
        rooms.send("lunch", "three")
        assert [message.text for message in subscribers.receive(timeout=10)] == ["three"]
        assert subscribers.receive(timeout=0.05) == []


def test_a_url_with_a_password_is_no_room_and_is_not_repeated(commands: Commands, local_url: str) -> None:
    done = commands.run_kchat("subscribe", "--url", local_url, "-r", "a", "-r", "amqp://ada:s3cr3t@host/")
    assert done.code == 2
    assert "--room takes a name" in done.stderr
    assert "s3cr3t" not in done.stderr


def test_the_variable_names_one_room_which_may_have_spaces(commands: Commands, local_url: str) -> None:
    held = ["subscribe", "--url", local_url, "--last", "1", "--no-follow"]
    done = commands.run_kchat(*held, env={"KCHAT_ROOM": "two words"})
    assert done.code == 0
    assert "listening on two words at" in done.stderr


def test_each_room_tells_what_it_may_have_missed_and_for_how_long_the_link_was_away(
    commands: Commands, amqp_url: str, proxy_to: Callable[[int], Proxy]
) -> None:
    settings = Settings.resolve(url=amqp_url)
    connection, broker = connect(settings, purpose="test")
    settings.transport.history("lunch").switch_on(connection.channel())  # and not of ops
    settings.transport.close(connection)
    proxy = proxy_to(broker.port or 0)
    through = replace(settings.broker, port=proxy.port).url()
    rooms = Rooms(amqp_url, commands)
    reader = rooms.start("--hidden", "--mode", "json", "--events", url=through)
    reader.wait_for("listening")
    began = time.monotonic()  # what it was connected before is its age, and not for how long the link is away
    rooms.send("ops", "here")
    wait_until(lambda: any('"here"' in line for line in reader.lines))  # the link was known to work
    proxy.refuse()
    proxy.cut()
    for room in ("lunch", "ops"):
        rooms.send(room, "away")
    proxy.restore()
    wait_until(lambda: sum('"reconnected"' in line for line in reader.lines) == 2)
    away = time.monotonic() - began
    found = [json.loads(line) for line in reader.lines]
    back = {each["room"]: each for each in found if each.get("type") == "reconnected"}
    assert (back["lunch"]["caught_up"], back["ops"]["caught_up"]) == (1, None)
    assert "messages sent meanwhile may have been missed" in back["ops"]["text"]
    assert "ops at" in back["ops"]["text"]
    assert max(each["seconds"] for each in back.values()) <= away
    assert "room" not in next(each for each in found if each.get("type") == "disconnected")
    assert "listening again on ops at" in reader.stderr
