"""``kchat bench``: right counts, nothing left behind. No figure is held against a clock."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from kchat import errors
from kchat.bench import Latency, Plan, Report, run
from kchat.bench.plan import read_text, text_of
from kchat.bench.report import class_of
from kchat.bench.room import delete_room
from kchat.config.settings import Settings
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.cli.test_bench_ends import rooms

FAULTS = ("not_sent", "lost", "out_of_order", "repeated")


@pytest.fixture(params=["local", "amqp"])
def url(request: pytest.FixtureRequest) -> str:
    value = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(value, str)
    return value


def test_everything_arrives_at_everybody_once_and_in_order(commands: Commands, url: str) -> None:
    arguments = ("--messages", "501", "--size", "200", "--senders", "2", "--subscribers", "3", "--json")
    result = commands.run_kchat("bench", "--url", url, *arguments, seconds=60)
    assert result.code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    counts = {name: told[name] for name in ("messages", "size", "senders", "subscribers", "sent", "received")}
    assert counts == {
        "messages": 501,
        "size": 200,
        "senders": 2,
        "subscribers": 3,
        "sent": 501,
        "received": 3 * 501,
    }
    assert [told[name] for name in (*FAULTS, "connections_lost")] == [0] * 5
    assert told["sent_per_second"] > 0
    assert told["received_per_second"] > 0
    latency = told["latency"]
    assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"] <= latency["max_ms"]
    assert sum(count for _, count in latency["histogram"]) == 3 * 501
    assert told["left_behind"] == ""


def test_people_get_a_table_and_a_sparkline(commands: Commands, local_url: str) -> None:
    result = commands.run_kchat("bench", "--url", local_url, "--messages", "50", seconds=60)
    assert result.code == 0, result.stderr
    assert "not sent" not in result.stdout
    for word in ("sent", "send rate", "receive rate", "lost", "out of order", "latency", "p99", "█"):
        assert word in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_without_subscribers_only_sending_is_measured(commands: Commands, local_url: str) -> None:
    arguments = ("--messages", "50", "--subscribers", "0", "--json")
    result = commands.run_kchat("bench", "--url", local_url, *arguments, seconds=60)
    told = json.loads(result.stdout)
    assert (told["sent"], told["received"], told["lost"], told["latency"]) == (50, 0, 0, None)


def test_no_file_is_left_of_an_embedded_room(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "rooms"
    folder.mkdir()
    result = commands.run_kchat("bench", "--url", f"local://{folder}/chat.db", "--messages", "20", seconds=60)
    assert result.code == 0, result.stderr
    assert list(folder.iterdir()) == []


def test_a_broker_that_is_not_there_is_one_line(commands: Commands) -> None:
    result = commands.run_kchat("bench", "--url", "amqp://127.0.0.1:1/", "--messages", "1", seconds=60)
    assert result.code == 1
    said = result.stderr.splitlines()
    assert said[0] == "measuring a temporary room at amqp://127.0.0.1:1/"
    assert "connection refused" in said[1]
    assert len(said) == 3  # the last is what to do


def test_a_folder_that_cannot_be_written_is_named(commands: Commands) -> None:
    result = commands.run_kchat("bench", "--url", "local:///proc/y.db", "--messages", "1", seconds=60)
    assert result.code == 1
    said = result.stderr.splitlines()
    assert said[1].startswith("kchat: cannot make a room in /proc: ")


@pytest.mark.parametrize(
    "arguments", [("--rate", "nan"), ("--rate", "inf"), ("--rate", "0"), ("--messages", "100000001")]
)
def test_a_figure_that_is_none_is_wrong_usage(
    commands: Commands, local_url: str, arguments: tuple[str, ...]
) -> None:
    result = commands.run_kchat("bench", "--url", local_url, *arguments, seconds=60)
    assert result.code == 2
    assert result.stderr.startswith("kchat: ")


@pytest.mark.parametrize("as_json", [False, True])
def test_why_messages_were_refused_is_told(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str, as_json: bool
) -> None:
    arguments = ("--rate", "100", "--messages", "300", *(["--json"] if as_json else []))
    process = commands.kchat("bench", "--url", amqp_url, *arguments)
    management = rabbitmq.management
    # A queue that is soon full, and refuses what comes then.
    full = {"x-max-length": 5, "x-overflow": "reject-publish"}
    management.request("PUT", ("queues", vhost, "small"), {"durable": True, "arguments": full})
    (room,) = wait_until(lambda: rooms(rabbitmq, vhost), 30, "the room to be there")
    management.request("POST", ("bindings", vhost, "e", room, "q", "small"), {})
    assert process.wait(60) == 1
    if as_json:
        told = json.loads(process.stdout)
        assert told["not_sent"] > 0
        assert "basic.nack" in told["not_sent_because"]
    else:
        (row,) = [line for line in process.lines if line.startswith("not sent")]
        assert "basic.nack" in row


@pytest.mark.parametrize(
    "plan",
    [
        Plan(messages=0),
        Plan(messages=100_000_001),
        Plan(senders=0),
        Plan(subscribers=-1),
        Plan(size=31),
        Plan(rate=0),
        Plan(rate=math.nan),
        Plan(rate=math.inf),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(plan: Plan, local_url: str) -> None:
    with pytest.raises(errors.SettingsError):
        run(Settings.resolve(url=local_url), plan)


def test_a_room_in_memory_is_refused() -> None:
    with pytest.raises(errors.SettingsError, match="one process"):
        run(Settings.resolve(url="memory://"), Plan(messages=1))


def test_deleting_a_room_that_this_process_of_a_virtual_transport_does_not_know_leaves_nothing() -> None:
    assert delete_room(Settings.resolve(url="memory://", room="never-made")) == ""


PROGRAM = """
import sys
from kchat.bench import Plan, run
from kchat.config.settings import Settings
print(run(Settings.resolve(url=sys.argv[1]), Plan(messages=20)).received)
"""


def test_a_program_measures_without_a_guard_and_without_the_modules_of_the_current_folder(
    commands: Commands, tmp_path: Path, local_url: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (commands.home / "mmap.py").write_text("raise SystemExit('a stranger wrote this')")
    process = commands.python(program, local_url)
    assert (process.wait(60), process.stdout, process.stderr) == (0, "20\n", "")


@pytest.mark.parametrize(("messages", "senders"), [(1, 1), (10, 3), (2, 5)])
def test_the_shares_of_the_senders_are_all_there_is(messages: int, senders: int) -> None:
    plan = Plan(messages=messages, senders=senders)
    shares = [plan.share(number) for number in range(senders)]
    assert sum(shares) == messages
    assert max(shares) - min(shares) <= 1


def test_senders_at_a_rate_take_turns() -> None:
    plan = Plan(messages=9, senders=3, rate=100)
    dues = sorted(plan.due(sender, count) for sender in range(3) for count in range(plan.share(sender)))
    assert dues == pytest.approx([number / 100 for number in range(9)])


@pytest.mark.parametrize("size", [32, 128, 5000])
def test_a_text_holds_what_was_put_in_and_has_its_size(size: int) -> None:
    text = text_of(3, 99_999, 123_456_789_012_345, size)
    assert len(text) == size
    assert read_text(text) == (3, 99_999, 123_456_789_012_345)


@pytest.mark.parametrize("text", ["", "hello", "1 2", "1 2 x ...", "a b c d"])
def test_messages_of_others_do_not_count(text: str) -> None:
    assert read_text(text) is None


def test_shares_of_latencies_are_theirs() -> None:
    ages: dict[int, int] = {}
    for milliseconds in range(1, 1001):
        number = class_of(milliseconds * 1_000_000)
        ages[number] = ages.get(number, 0) + 1
    latency = Latency.of(ages)
    assert latency.p50_ms == pytest.approx(500, rel=0.02)
    assert latency.p95_ms == pytest.approx(950, rel=0.02)
    assert latency.p99_ms == pytest.approx(990, rel=0.02)
    assert latency.max_ms == pytest.approx(1000, rel=0.02)
    assert sum(count for _, count in latency.histogram) == 1000


@pytest.mark.parametrize("fault", FAULTS)
def test_a_report_with_a_fault_is_not_good(fault: str) -> None:
    report = Report("here", 1, 32, 1, 1, 1, 0, 1, 0, 0, 0, 1.0, 1.0, None)
    assert report.good
    faulty: Report = Report(**{**report._asdict(), fault: 1})
    assert not faulty.good
