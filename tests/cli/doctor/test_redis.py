"""Rooms on Redis that are well, and such as are broken in one way each: is that way the one that is named?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from kchat import Settings, Subscriber
from kchat.client.connection import connect
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.cli.doctor.asking import PASSWORD, Doctor, by_check


def test_a_redis_on_which_all_is_well(doctor: Doctor, redis_url: str) -> None:
    with Subscriber(Settings.resolve(url=redis_url), "bob") as subscriber:
        told = doctor("--url", redis_url)
        assert subscriber.receive(timeout=0.3) == []
    assert told["ok"], told
    assert by_check(told)["round trip"]["status"] == "ok"


@contextmanager
def redis_account(server: Redis, *rules: str) -> Iterator[str]:
    """The URL of an account with these rules."""
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "doctor", "reset", "on", f">{PASSWORD}", *rules)
        try:
            yield f"redis://doctor:{PASSWORD}@{server.host}:{server.port}/0"
        finally:
            client.execute_command("ACL", "DELUSER", "doctor")


def test_a_redis_account_with_a_wrong_password(doctor: Doctor, redis_server: Redis) -> None:
    url = f"redis://nobody:{PASSWORD}@{redis_server.host}:{redis_server.port}/0"
    assert doctor.first("--url", url)[0] == "login"


def test_a_redis_account_that_may_not_send_or_not_listen(doctor: Doctor, redis_server: Redis) -> None:
    with redis_account(redis_server, "+@all", "-publish", "~*", "&*") as url:
        assert doctor.first("--url", url)[0] == "send"
    with redis_account(redis_server, "+@all", "-subscribe", "-psubscribe", "~*", "&*") as url:
        assert doctor.first("--url", url)[0] == "listen"
    with redis_account(redis_server, "+@all", "~*", "&/0.other*") as url:
        check, text = doctor.first("--url", url)
    assert check == "send"
    assert "&/0.chat" in text


def test_a_port_at_which_a_broker_of_another_kind_is(doctor: Doctor, rabbitmq: RabbitMQ) -> None:
    assert doctor.first("--url", f"redis://127.0.0.1:{rabbitmq.port}/0")[0] == "redis"


def test_a_replica_that_has_lost_its_primary_takes_messages(doctor: Doctor, own_redis: Redis) -> None:
    own_redis.command("CONFIG", "SET", "replica-serve-stale-data", "no")
    own_redis.command("REPLICAOF", "127.0.0.1", "1")
    told = doctor("--url", own_redis.url)
    found = by_check(told)
    assert told["ok"], told
    assert (found["role"]["status"], found["round trip"]["status"]) == ("note", "ok")


def test_the_history_of_a_room_on_redis(doctor: Doctor, redis_server: Redis) -> None:
    url = redis_server.new_database()
    settings = Settings.resolve(url=url)
    database = url.rpartition("/")[2]

    def found(account: str, *options: str) -> tuple[str, str]:
        check = by_check(doctor("--url", account.rpartition("/")[0] + f"/{database}", *options))["history"]
        return check["status"], f"{check['text']} {check.get('hint', '')}"

    assert found(url)[0] == "skipped"
    connection, _ = connect(settings, purpose="host")
    settings.transport.history("chat").switch_on(connection.channel())
    settings.transport.close(connection)
    assert found(url)[0] == "ok"
    all_but_keys = "+@all", "&*"
    with redis_account(redis_server, *all_but_keys) as account:
        assert found(account)[0] == "note"
    with redis_account(redis_server, *all_but_keys, "%R~kchat-history*") as account:
        status, text = found(account)
        assert (status, "is not kept" in text) == ("note", True)
        assert f"ACL SETUSER doctor ~kchat-history-limits/{database}.chat" in text
        assert found(account, "--only", "subscribe")[0] == "ok"
    with redis_account(redis_server, *all_but_keys, "~kchat-history*", "-xrange", "-xinfo") as account:
        status, text = found(account)
        assert (status, "may not read it" in text) == ("note", True)
        assert found(account, "--only", "send")[0] == "ok"
    with redis.Redis.from_url(url) as client:
        client.delete(f"kchat-history/{database}.chat")
        client.set(f"kchat-history/{database}.chat", "x")
    assert found(url)[0] == "wrong"
