"""What an archive in ClickHouse has to do, on whichever engine: of 2018, of today, or chDB. ``make`` opens one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from kchat.archive.clickhouse import between
from kchat.archive.clickhouse.rollup import doubtful
from kchat.archive.clickhouse.schema import QUARTERS
from kchat.archive.clickhouse.store import ClickHouseStore
from kchat.archive.record import body_digest
from kchat.archive.span import DAY, HOUR, QUARTER, Span, Zone
from kchat.archive.spread import step
from kchat.archive.stats import compute
from kchat.errors import ArchiveError, SettingsError
from tests.archive.counting import count, ordered
from tests.archive.talking import START, conversation, record, within

Make = Callable[..., ClickHouseStore]

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")


def _months(store: ClickHouseStore) -> set[int]:
    return doubtful(store._connection)


# ---- writing and reading


def test_messages_come_back_as_they_were_written(make: Make) -> None:
    strange = [
        record("i:1", text="", username=None, id=None, sent_at=None),
        record(
            "i:2",
            text="quotes ' \" and \\ and \0 and \t\r\n",
            username="o'Hara\\",
            account="o'Hara\\",
            verified=True,
        ),
        record(
            "i:3", text="🎉 ünï @zoë @Ada", extra='{"a":["b",{"c":null}]}', position="17-0", client="others"
        ),
        record("i:4\ud800", text="lone \ud83d", username="\udfff", room="room \ud800", id="4\ud800"),
        record("i:5", text="x" * 1_100_000),
        record("i:6", text=None, digest="0" * 32, mentions=()),
    ]
    with make(write=True) as store:
        assert store.write(strange) == 6
        assert list(store.records(Span())) == ordered(strange)


def test_a_message_is_kept_once(make: Make) -> None:
    records = conversation(60)
    with make(write=True) as store:
        assert store.write(records[:40]) == 40
        assert store.write(records[:40]) == 0
        assert store.write(records[20:] + records[30:50]) == 20
        assert store.write([]) == 0
        assert list(store.records(Span())) == ordered(records)


def test_a_message_delivered_again_later_is_kept_once_though_it_has_another_time(make: Make) -> None:
    first = record("p:7", START, id=None, sent_at=None)
    with make(write=True) as store:
        assert store.write([first], again=False) == 1
        assert store.write([first._replace(at=START + 40 * DAY, received_at=START + 40 * DAY)]) == 0
        assert list(store.records(Span())) == [first]


def test_the_same_key_in_another_room_is_another_message(make: Make) -> None:
    with make(write=True) as store:
        assert store.write([record(room="a"), record(room="b"), record(room="a")]) == 2
        assert store.rooms() == {"a": 1, "b": 1}


def test_one_batch_may_be_of_more_than_a_hundred_months(make: Make) -> None:
    records = [record(f"i:{n}", START - n * 31 * DAY) for n in range(105)]
    with make(write=True) as store:
        assert store.write(records) == 105
        assert _months(store) == set()
        assert list(store.records(Span())) == ordered(records)


def test_records_come_by_room_and_time(make: Make) -> None:
    records = conversation(300)
    span = Span(("chat",), records[50].at, records[200].at)
    with make(write=True) as store:
        store.write(records, again=False)
        assert list(store.records(span)) == within(records, span)
        assert list(store.records(Span(("nobody's",)))) == []
        reading = store.records(Span())
        next(reading)
        assert store.rooms() == dict(sorted(Counter(each.room for each in records).items()))
        reading.close()  # type: ignore[attr-defined] # a generator


def test_the_last_messages_without_id_are_told_in_the_order_of_their_places(make: Make) -> None:
    digests = [body_digest(body) for body in (b"one", b"two", b"one")]
    keys = [f"b:{digest}:{START + place}-0a1b2c3d-000001" for place, digest in enumerate(digests)]
    records = [record(key, START, id=None, sent_at=None) for key in keys]
    imported = record(f"b:{digests[0]}:2025-03-10T00:00:00.000Z", START, id=None)
    with make(write=True) as store:
        store.write([*records[::-1], imported, record("i:1"), record(f"{keys[0]}9", room="another")])
        assert store.without_id("chat", 100) == keys
        assert store.without_id("chat", 2) == keys[1:]
        assert store.without_id("nowhere", 5) == []


# ---- figures


def test_the_facts_are_those_of_the_messages(make: Make) -> None:
    records = conversation(400)
    first, last = records[0].at, records[-1].at
    middle = records[200].at
    spans = [
        Span(),
        Span(("chat",)),
        Span(("chat", "nobody's")),
        Span((), first + 12 * HOUR + 1, last - 12 * HOUR),
        Span(("zimmer ü",), middle - middle % QUARTER, middle + QUARTER + 3),
        Span((), middle, middle + 1),
        Span((), middle + 1, middle + 2),
        Span((), middle, None),
        Span((), None, middle),
        Span((), last + 1, None),
    ]
    with make(write=True) as store:
        store.write(records[:250], again=False)
        store.write(records[250:], again=False)
        for number, span in enumerate(spans):
            for zone in ZONES if number < 2 else ZONES[number % 4 : number % 4 + 1]:
                found, expected = store.facts(span, Zone(zone)), count(records, span, Zone(zone))
                assert found == expected, (span, zone)
                compute(found, span, Zone(zone), archive="")


def test_the_facts_are_the_same_in_small_pieces(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between, "AT_ONCE", 7)
    records = conversation(300, 2)
    with make(write=True) as store:
        store.write(records, again=False)
        assert store.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))


def test_every_gap_stands_in_its_step(make: Make) -> None:
    gaps = {2**power + more for power in range(42) for more in (-1, 0, 1)} | set(range(300))
    at, records = START, [record("i:0", START - 1)]
    with make(write=True) as store:
        answer = store.query(
            f"SELECT {between._STEP} FROM (SELECT arrayJoin([{', '.join(map(str, sorted(gaps)))}]) AS g)"
        )
        assert [number for (number,) in answer.rows] == [step(gap) for gap in sorted(gaps)]
        for number, gap in enumerate(sorted(gaps)):
            at += gap
            records.append(record(f"i:{number + 1}", at))
        early = [each for each in records if each.at < START + 400 * DAY]
        store.write(early)
        assert store.facts(Span(), Zone("UTC")).gaps == count(early, Span(), Zone("UTC")).gaps


def test_an_empty_archive_has_no_facts(make: Make) -> None:
    with make(write=True) as store:
        assert store.facts(Span(), Zone("UTC")) == count([], Span(), Zone("UTC"))
        assert store.rooms() == {}


@pytest.mark.parametrize("damage", ["missing", "double"])
def test_figures_are_right_where_the_rollup_is_not_and_the_next_writer_mends_it(
    make: Make, damage: str
) -> None:
    records = conversation(400)
    sql = {
        "missing": f"ALTER TABLE {QUARTERS} DROP PARTITION 202604",
        "double": f"INSERT INTO {QUARTERS} SELECT * FROM {QUARTERS}",
    }
    with make(write=True) as store:
        store.write(records, again=False)
        store._connection.rows(sql[damage])
        assert 202604 in _months(store)
        expected = count(records, Span(), Zone("UTC"))
        assert store.facts(Span(), Zone("UTC")) == expected
    with make(write=True) as store:
        assert _months(store) == set()
        assert store.facts(Span(), Zone("UTC")) == expected


def test_words_are_counted(make: Make) -> None:
    with make(write=True) as store:
        store.write(
            [record("i:1", text="broker broker"), record("i:2", text="queue"), record("i:3", text=None)]
        )
        assert store.words(Span(), 10) == [("broker", 2), ("queue", 1)]


# ---- deleting


def test_forgetting_somebody_leaves_nothing_of_them_in_the_figures(make: Make) -> None:
    records = conversation(300)
    left = [
        each._replace(mentions=tuple(name for name in each.mentions if name != "ada"))
        for each in records
        if each.username != "ada"
    ]
    with make(write=True) as store:
        store.write(records, again=False)
        assert store.forget("ada") == len(records) - len(left)
        assert list(store.records(Span())) == ordered(left)
        assert store.facts(Span(), Zone("UTC")) == count(left, Span(), Zone("UTC"))
        assert _months(store) == set()
        assert store.forget("ada") == 0
        assert store.forget("o'nobody\\") == 0


def test_forgetting_somebody_in_one_room_leaves_the_others(make: Make) -> None:
    with make(write=True) as store:
        store.write(
            [record(room="a"), record(room="b"), record("i:2", room="a", username="grace", text="@ada")]
        )
        assert store.forget("ada", ["a"]) == 1
        assert store.rooms() == {"a": 1, "b": 1}
        assert store.facts(Span(), Zone("UTC")).mentions == {}


@pytest.mark.parametrize("rooms", [(), ("chat",)])
def test_pruning_leaves_what_is_newer(make: Make, rooms: tuple[str, ...]) -> None:
    records = conversation(300)
    with make(write=True) as store:
        store.write(records, again=False)
        for before in (records[0].at, records[100].at + 1, records[200].at - records[200].at % QUARTER):
            old = [each for each in records if each.at < before and (not rooms or each.room in rooms)]
            assert store.prune(before, rooms) == len(old)
            records = [each for each in records if each not in old]
            assert list(store.records(Span())) == ordered(records)
            assert store.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))
            assert _months(store) == set()


# ---- what is kept


def test_an_archive_without_texts_has_one_secret(make: Make) -> None:
    with make(write=True, texts=False) as store:
        secret = store.secret
        assert secret is not None
        assert len(secret) == 32
    with make(write=True) as store:
        assert store.secret == secret
    with pytest.raises(SettingsError, match="keeps no texts"):
        make(write=True, texts=True)


def test_an_archive_with_texts_stays_one(make: Make) -> None:
    with make(write=True) as store:
        assert store.secret is None
    with make(texts=True), pytest.raises(SettingsError, match="keeps texts"):
        make(write=True, texts=False)


def test_an_archive_has_to_be_there_to_be_read(make: Make) -> None:
    with pytest.raises(SettingsError, match="no archive of kchat's"):
        make()


def test_a_reader_writes_nothing(make: Make) -> None:
    make(write=True).close()
    with make() as store:
        with pytest.raises(ArchiveError, match="read only"):
            store.write([record()])
        with pytest.raises(ArchiveError, match="read only"):
            store.forget("ada")
        with pytest.raises(ArchiveError, match="read only"):
            store.prune(START)


# ---- the sequel's


def test_the_sequels_queries_run_on_the_view(make: Make) -> None:
    # Ten seconds between one and the next one.
    records = [
        record(
            f"i:{n}",
            START + 10_000 * n,
            username=None if n == 9 else f"user{n % 3}",
            received_at=START + 10_000 * n,
        )
        for n in range(10)
    ]
    with make(write=True) as store:
        store.write(records)
        described = store.query("SELECT * FROM user_messages ORDER BY received_at LIMIT 1")
        assert list(described.columns) == ["username", "message", "received_at"]
        types = store.query(
            "SELECT toTypeName(username), toTypeName(message), toTypeName(received_at) FROM user_messages LIMIT 1"
        )
        assert types.rows == [("String", "String", "DateTime")]
        assert len(store.query("SELECT * FROM user_messages").rows) == 10
        most = "SELECT username, count() AS many FROM user_messages GROUP BY username ORDER BY many DESC, username LIMIT 5"
        assert store.query(most).rows == [("user0", 3), ("user1", 3), ("user2", 3), ("", 1)]
        span = "max(toUnixTimestamp(received_at)) - min(toUnixTimestamp(received_at))"
        assert store.query(f"SELECT ({span}) / (count() - 1) FROM user_messages").rows == [(10.0,)]
