"""Files by their URLs, and what Kombu makes of several."""

from __future__ import annotations

from pathlib import Path

import kombu
import pytest
from amqp.exceptions import NotAllowed

from kchat.transports.local.options import default_path
from kchat.transports.local.transport import Transport


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("local:///a/b/room.db", "/a/b/room.db"),
        ("local:///a%20b/r%C3%BCm%3B%3F.db?busy_timeout=1", "/a b/rüm;?.db"),
        ("local://./room.db", "{cwd}/room.db"),
        ("local://../room.db", "{cwd}/../room.db"),
        ("local://localhost/a/room.db", "/a/room.db"),
        ("local://~/room.db", "{home}/room.db"),
        ("local://", "{default}"),
        ("local:///", "{default}"),
    ],
)
def test_urls_name_files(url: str, expected: str) -> None:
    places = {"cwd": Path.cwd(), "home": Path.home(), "default": default_path()}
    assert Transport(kombu.Connection(url)).options().path == expected.format(**places)


def test_options_come_from_the_url_first() -> None:
    connection = kombu.Connection(
        "local:///r.db?history_max_age=60&drain_batch=5",
        transport_options={"drain_batch": 7, "busy_timeout": 2},
    )
    options = Transport(connection).options()
    assert (options.history_max_age, options.drain_batch, options.busy_timeout) == (60.0, 5, 2.0)


def test_a_path_can_be_given_without_a_url(tmp_path: Path) -> None:
    room = tmp_path / "room.db"
    for connection in (
        kombu.Connection(transport="local", hostname=str(room)),
        kombu.Connection(transport="local", transport_options={"path": str(room)}),
        kombu.Connection("local://", transport_options={"path": str(room)}),
        kombu.Connection(transport="kchat.transports.local.transport:Transport", hostname=f"local://{room}"),
    ):
        assert Transport(connection).options().path == str(room)


def test_a_failover_leads_to_the_next_file(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is not a database, but text" * 100)
    urls = [f"local://{tmp_path}/{name}.db" for name in ("first", "second")]
    with kombu.Connection(";".join(urls)) as connection:
        connection.connect()
        connection.switch(urls[1])
        connection.connect()
    assert (tmp_path / "second.db").exists()


def test_kombu_goes_on_to_the_next_file_where_the_first_one_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, but text" * 100)
    (tmp_path / "folder.db").mkdir()
    good = tmp_path / "good.db"
    for bad in ("missing/room.db", "text.db/room.db", "text.db", "folder.db"):
        with kombu.Connection(f"local://{tmp_path}/{bad};local://{good}") as connection:
            channel = connection.default_channel
            channel.queue_declare(bad)
            assert channel.connection.options.path == str(good)
    assert not (tmp_path / "missing").exists()


def test_a_file_that_cannot_be_opened_is_a_lost_connection_to_kombu_and_keeps_its_reply_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "text.db").write_text("this is not a database, but text" * 100)
    for url in (f"local://{tmp_path}/text.db", "local:///no-such-folder/kchat/room.db"):
        connection = kombu.Connection(url)
        with pytest.raises(NotAllowed) as caught:
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        assert isinstance(caught.value, connection.recoverable_connection_errors)
        assert caught.value.code == 530
    assert not Path("/no-such-folder").exists()


@pytest.mark.parametrize(
    "url",
    [
        "local://room.db",
        "local://host/room.db",
        "local:///r.db?colour=red",
        "local:///r.db?drain_batch=0",
        "local:///r.db?busy_timeout=soon",
        "local:///r.db?busy_timeout=nan",
        "local:///r.db?history_max_bytes=-1",
    ],
)
def test_urls_that_make_no_sense_are_refused(url: str) -> None:
    connection = kombu.Connection(url)
    with pytest.raises(NotAllowed) as caught:
        Transport(connection).options()
    assert caught.value.code == 530
    assert url in repr(connection)
