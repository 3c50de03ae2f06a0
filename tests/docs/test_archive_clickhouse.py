"""docs/archive-clickhouse.md: its SQL runs on a real server, and its cluster's tables make an archive."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest

from kchat.archive.clickhouse import schema
from kchat.archive.clickhouse.store import ClickHouseStore
from kchat.archive.span import Span, Zone
from kchat.errors import ArchiveError
from tests.archive.counting import count, ordered
from tests.archive.talking import conversation
from tests.brokers.clickhouse import ClickHouse, MachineClickHouse
from tests.brokers.processes import Commands
from tests.docs.examples import ROOT

PAGE = "docs/archive-clickhouse.md"
_BLOCK = re.compile(r"(?:^<!--(?P<comment>[^>]*?)-->\n)?^```sql\n(?P<sql>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Statements of the page, and what the comment before them says."""

    kind: str
    statements: list[str]


def blocks(kind: str = "") -> list[Block]:
    found = [
        Block(
            (match["comment"] or "").strip(),
            [each for each in re.split(r";\n*", match["sql"]) if each.strip()],
        )
        for match in _BLOCK.finditer((ROOT / PAGE).read_text("utf-8"))
    ]
    return [block for block in found if block.kind == kind]


def test_every_block_is_of_a_known_kind() -> None:
    kinds = {(match["comment"] or "").strip() for match in _BLOCK.finditer((ROOT / PAGE).read_text("utf-8"))}
    assert kinds == {"", "today's", "cluster: replicated", "cluster: distributed", "rabbitmq"}


def test_the_pages_questions_run_on_an_archive(clickhouse: str) -> None:
    records = conversation(100)
    with ClickHouseStore(clickhouse, write=True) as store:
        store.write(records)
        answers = {sql: store.query(sql).rows for block in blocks() for sql in block.statements}
    assert all(answers.values())
    averages = [rows[0][0] for sql, rows in answers.items() if "average_gap" in sql]
    times = [each.received_at // 1000 for each in records]
    assert averages == [pytest.approx((max(times) - min(times)) / 99)] * 2


def _columns(statement: str) -> list[str]:
    inside = statement[statement.index("(") + 1 : statement.index(") ENGINE")]
    return [" ".join(column.split()) for column in re.split(r",(?![^(]*\))", inside)]


def test_the_clusters_tables_are_those_that_kchat_makes() -> None:
    (replicated,) = blocks("cluster: replicated")
    assert [_columns(each) for each in replicated.statements[1:]] == [
        _columns(each) for each in schema._TABLES[:2]
    ]
    for shown, made in zip(replicated.statements[1:], schema._TABLES[:2], strict=True):
        assert (
            " ".join(shown.split()).partition(" PARTITION ")[2]
            == " ".join(made.split()).partition(" PARTITION ")[2]
        )


def test_the_database_that_leads_to_all_shards_is_an_archive(clickhouse_server: ClickHouse) -> None:
    if not isinstance(clickhouse_server, MachineClickHouse):
        pytest.skip("the cluster is in the configuration of the fixture's own server")
    (replicated,), (distributed,) = blocks("cluster: replicated"), blocks("cluster: distributed")
    records = conversation(300)
    try:
        for statement in replicated.statements:
            clickhouse_server.execute(re.sub(r"Replicated(\w+)\('[^)]*\)", r"\1()", statement))
        ClickHouseStore(clickhouse_server.url_for("kchat"), write=True).close()
        for statement in distributed.statements:
            clickhouse_server.execute(statement)
        with ClickHouseStore(clickhouse_server.url_for("kchat_all"), write=True) as store:
            assert store.write(records, again=False) == 300
            assert store.write(records, again=True) == 0
            assert store.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))
            assert list(store.records(Span())) == ordered(records)
            with pytest.raises(ArchiveError, match="several servers"):
                store.forget("ada")
            with pytest.raises(ArchiveError, match="several servers"):
                store.prune(records[10].at)
        with ClickHouseStore(clickhouse_server.url_for("kchat"), write=True) as shard:
            assert shard.prune(records[10].at) == sum(each.at < records[10].at for each in records)
    finally:
        for name in ("kchat_all", "kchat"):
            clickhouse_server.execute(f"DROP DATABASE IF EXISTS {name}")


def test_the_queue_for_clickhouse_gets_json_of_a_line_each(amqp_url: str, commands: Commands) -> None:
    (rabbitmq,) = blocks("rabbitmq")
    wanted = {line.split()[0] for line in _columns(rabbitmq.statements[0].replace(")\nENGINE", ") ENGINE"))}
    assert "rabbitmq_queue_base = 'kchat.chat.clickhouse'" in rabbitmq.statements[0]
    made = commands.run_kchat(
        "subscribe", "--url", amqp_url, "--durable", "clickhouse", "--idle-timeout", "1"
    )
    assert made.code == 0, made.stderr
    commands.run_kchat("send", "--url", amqp_url, "--username", "ada", "Hello\nworld")
    from kombu import Connection

    with Connection(amqp_url) as connection, connection.channel() as channel:
        message = channel.basic_get("kchat.chat.clickhouse", no_ack=True)
    assert "\n" not in message.body
    assert wanted <= set(json.loads(message.body))
