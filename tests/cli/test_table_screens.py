"""What the live table shows in a real terminal, on real brokers: an empty room, looking back, a broker that goes away."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.live_table import Table
from tests.window import Window

NewWindow = Callable[..., Window]


@pytest.fixture(params=["amqp", "local"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a table's shell leaves behind goes to the test's own folder."""
    monkeypatch.chdir(tmp_path)


def say(commands: Commands, url: str, *texts: str) -> None:
    typed = "".join(f"{text}\n" for text in texts)
    sent = commands.run_kchat("send", "-q", "--url", url, "--username", "ada", "-", stdin=typed)
    assert sent.code == 0, sent.stderr


def test_an_empty_room_says_how_to_send_a_message_and_that_works(
    window: NewWindow, commands: Commands, local_url: str
) -> None:
    screen = window(200, 24, "bash --norc")
    table = Table(screen, local_url).drawn()
    table.wait_for("No messages yet")
    assert "names are not checked" in screen.rows()[0]
    shown = re.search(r"kchat (send .*) 'Hello'", screen.text())
    assert shown
    assert commands.run_kchat(*shown[1].split(), "Hello").code == 0
    table.wait_for("  Hello")
    assert "No messages yet" not in screen.text()
    screen.type("q")
    table.wait_for("code 0")
    table.check_terminal()


def test_a_command_that_is_shown_has_no_password(window: NewWindow, amqp_url: str) -> None:
    screen = window(100, 24, "bash --norc")
    table = Table(screen, amqp_url).drawn()
    table.wait_for("--ask-password")
    assert "s3cret" not in "".join(screen.rows()).partition("Username")[2]
    assert "names are not checked" not in screen.text()  # RabbitMQ does
    screen.type("q")
    table.wait_for("code 0")


def test_looking_back_holds_the_place_until_end_is_pressed(
    window: NewWindow, commands: Commands, url: str
) -> None:
    screen = window(80, 24, "bash --norc")
    table = Table(screen, url).drawn()
    say(commands, url, *(f"number {n}." for n in range(1, 101)))
    table.wait_for("number 100.")
    assert numbers(screen) == list(range(81, 101))
    for key, first in (("PPage", 62), ("PPage", 43), ("NPage", 62), ("Home", 1), ("Down", 2), ("Up", 1)):
        screen.type(key)
        wait_until(partial(has, screen, range(first, first + 20)), 10, screen.text)
    assert screen.rows()[-1].startswith("looking back · End returns")
    say(commands, url, "number 101.", "number 102.")
    table.wait_for("2 new below")
    assert numbers(screen) == list(range(1, 21))
    screen.type("C-l")
    screen.type("End")
    wait_until(partial(has, screen, range(83, 103)), 10, screen.text)
    screen.type("q")
    table.wait_for("code 0")
    assert numbers(screen)[-3:] == [100, 101, 102]
    table.check_terminal()


def numbers(screen: Window) -> list[int]:
    return [int(each) for each in re.findall(r"number (\d+)\.", screen.text())]


def has(screen: Window, these: range) -> bool:
    return numbers(screen) == list(these)


@pytest.mark.parametrize(
    ("columns", "lines", "back"),
    [
        (80, 24, r"reconnected after \d+ s, messages may be missing .*q ends"),
        (40, 12, r"reconnected, messages may be missing"),
    ],
)
def test_a_broker_that_goes_away_and_comes_back_is_said_without_its_url(
    window: NewWindow,
    commands: Commands,
    rabbitmq: RabbitMQ,
    vhost: str,
    proxy_to: Callable[[int], Proxy],
    columns: int,
    lines: int,
    back: str,
) -> None:
    link = proxy_to(rabbitmq.port)
    url = rabbitmq.url_for(vhost, port=link.port)
    screen = window(columns, lines, "bash --norc")
    table = Table(screen, url).drawn()
    say(commands, url, "before")
    table.wait_for("before")
    link.refuse()
    wait_until(
        lambda: re.fullmatch(r"connection lost, reconnecting \([1-9]\d* s\).*", screen.rows()[-1]),
        20,
        screen.text,
    )
    assert "://" not in screen.rows()[-1]
    screen.type("C-l")
    link.restore()
    wait_until(lambda: re.fullmatch(back, screen.rows()[-1]), 30, screen.text)
    say(commands, url, "after")
    table.wait_for("after")
    screen.type("q")
    table.wait_for("code 0")
    left = " ".join(screen.history().split())
    assert re.search(r"before .*reconnected after \d+ s, .*messages? .*after", left)
    table.check_terminal()


def test_what_is_typed_is_left_for_others_where_standard_input_is_not_the_terminal(
    window: NewWindow, commands: Commands, local_url: str
) -> None:
    say(commands, local_url, "first")
    screen = window(70, 14, "bash --norc")
    table = Table(screen, local_url, "--last", "1", redirected="</dev/null").drawn()
    table.wait_for("first")
    assert screen.rows()[-1].endswith("Ctrl+C ends")
    before = screen.rows()
    screen.type("q", "PPage", "Enter", "Enter")
    say(commands, local_url, "second")
    table.wait_for("second")
    assert [*before[:4], *before[5:-1]] == [*screen.rows()[:4], *screen.rows()[5:-1]]
    screen.type("C-c")
    table.wait_for("code 0")
    table.check_terminal()


def test_what_is_typed_after_q_is_for_the_shell(window: NewWindow, local_url: str) -> None:
    screen = window(70, 14, "bash --norc")
    table = Table(screen, local_url).drawn()
    screen.type("qecho typed$((1+1))ahead", "Enter")
    table.wait_for("\ntyped2ahead")
    table.check_terminal()


def test_keys_are_taken_while_the_broker_is_away(
    window: NewWindow, rabbitmq: RabbitMQ, vhost: str, proxy_to: Callable[[int], Proxy]
) -> None:
    link = proxy_to(rabbitmq.port)
    screen = window(80, 24, "bash --norc")
    table = Table(screen, rabbitmq.url_for(vhost, port=link.port)).drawn()
    link.refuse()
    table.wait_for("connection lost, reconnecting")
    screen.type("q")
    table.wait_for("code 0")
    table.check_terminal()
