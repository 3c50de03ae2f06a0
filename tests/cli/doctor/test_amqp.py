"""Rooms on RabbitMQ that are well, and such as are broken in one way each: is that way the one that is named?"""

from __future__ import annotations

import pytest

from kchat import Settings, Subscriber
from kchat.doctor import Status, diagnose
from tests.brokers.management import Management
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.tls_server import TlsServer
from tests.cli.doctor.asking import PASSWORD, Doctor, by_check

MEMBER = {
    "configure": r"^kchat\.chat\..*",
    "write": r"^(chat|kchat\.chat\..*)$",
    "read": r"^(chat|kchat\.chat\..*)$",
}


# ---- everything works


def test_a_broker_on_which_all_is_well(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    url = rabbitmq.url_for(vhost)
    with Subscriber(Settings.resolve(url=url), "bob") as subscriber:
        told = doctor("--url", url, "--management-url", rabbitmq.management_url)
        assert subscriber.receive(timeout=0.5) == []  # nobody notices
    assert told["ok"]
    assert told["first"] is None
    found = by_check(told)
    assert {
        found[check]["status"] for check in ("amqp", "login", "vhost", "room", "alarms", "send", "listen")
    } == {"ok"}
    assert {found[check]["status"] for check in ("policy", "clock", "round trip")} == {"ok"}
    assert "RabbitMQ" in found["amqp"]["text"]


def test_the_doctor_leaves_nothing_behind_and_creates_nothing(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    def all_there(management: Management) -> tuple[list[str], list[str]]:
        queues = [queue["name"] for queue in management.queues(vhost)]
        return queues, [exchange["name"] for exchange in management.exchanges(vhost)]

    before = all_there(rabbitmq.management)
    told = doctor("--url", rabbitmq.url_for(vhost))
    assert told["ok"]
    assert "yet" in by_check(told)["room"]["text"]
    assert all_there(rabbitmq.management) == before


def test_a_test_message_is_sent_when_it_is_asked_for(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    url = rabbitmq.url_for(vhost)
    with Subscriber(Settings.resolve(url=url), "bob") as subscriber:
        assert doctor("--url", url, "--send-test")["ok"]
        (message,) = subscriber.receive(timeout=30)
    assert message.username == "kchat doctor"


def test_a_members_rights_are_enough(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    make_room(rabbitmq, vhost)
    with rabbitmq.new_account(vhost, **MEMBER) as account:
        told = doctor("--url", account.url)
    assert told["ok"], told
    assert by_check(told)["round trip"]["status"] == "ok"


def test_an_account_that_may_only_send_is_well_when_only_that_is_asked(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    make_room(rabbitmq, vhost)
    with rabbitmq.new_account(vhost, write="^chat$") as account:
        assert doctor("--url", account.url, "--only", "send")["ok"]
        check, text = doctor.first("--url", account.url)
    assert check == "listen"
    assert "may not listen" in text


def make_room(rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat")


def test_the_findings_are_shown_line_by_line(commands: Commands, amqp_url: str) -> None:
    result = commands.run_kchat("doctor", "--url", amqp_url)
    assert result.code == 0, result
    assert result.stdout.splitlines()[-1] == "everything works: a message made the round trip"
    assert "  ok      login" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_a_failed_check_is_shown_with_a_remedy(commands: Commands) -> None:
    result = commands.run_kchat("doctor", "--host", "127.0.0.1", "--port", str(free_port()))
    assert result.code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "wrong: tcp"
    (wrong,) = (number for number, line in enumerate(lines) if line.startswith("  wrong"))
    assert "->" in lines[wrong + 1]
    assert "not reached: tcp comes first" in lines[-2]


# ---- account


def test_a_wrong_password(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    check, text = doctor.first("--url", rabbitmq.url_for(vhost, password=PASSWORD))
    assert check == "login"
    assert rabbitmq.username in text


def test_a_wrong_virtual_host_and_one_that_the_account_may_not_use(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    check, text = doctor.first("--url", rabbitmq.url_for("no-such-vhost"))
    assert check == "vhost"
    assert "no-such-vhost" in text
    with rabbitmq.new_account(vhost) as account, rabbitmq.new_vhost() as other:
        check, text = doctor.first("--url", rabbitmq.url_for(other, account.username, account.password))
    assert check == "vhost"
    assert "rights" in text


def test_no_permission_to_write(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    make_room(rabbitmq, vhost)
    rights = {**MEMBER, "write": r"^kchat\.chat\..*"}
    with rabbitmq.new_account(vhost, **rights) as account:
        check, text = doctor.first("--url", account.url)
    assert check == "send"
    assert "write" in text


@pytest.mark.parametrize(
    ("rights", "word"),
    [
        ({**MEMBER, "read": r"^kchat\.chat\..*"}, "read on the room"),
        ({**MEMBER, "configure": "^nothing$"}, "configure"),
        ({**MEMBER, "write": "^chat$"}, "write on its own queue"),
        ({**MEMBER, "read": "^chat$"}, "read on its own queue"),
    ],
)
def test_no_permission_to_listen(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str, rights: dict[str, str], word: str
) -> None:
    make_room(rabbitmq, vhost)
    with rabbitmq.new_account(vhost, **rights) as account:
        check, text = doctor.first("--url", account.url)
    assert check == "listen"
    assert word in text


# ---- room and broker


@pytest.mark.parametrize("kind", ["direct", "topic"])
def test_an_exchange_of_another_type(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str, kind: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat", kind)
    check, text = doctor.first("--url", rabbitmq.url_for(vhost))
    assert check == "room"
    assert f"a {kind} exchange" in text


def test_an_exchange_with_other_flags_is_a_room_all_the_same(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    rabbitmq.management.add_exchange(vhost, "chat", durable=True)
    assert doctor("--url", rabbitmq.url_for(vhost))["ok"]


def test_a_room_that_is_missing_and_that_this_account_may_not_make(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    with rabbitmq.new_account(vhost, **MEMBER) as account:
        check, text = doctor.first("--url", account.url)
    assert check == "room"
    assert "may not create it" in text
    assert rabbitmq.management.exchange(vhost, "chat") is None


def test_a_memory_alarm(doctor: Doctor, own_rabbitmq: RabbitMQ) -> None:
    with own_rabbitmq.memory_alarm():
        check, text = doctor.first("--url", own_rabbitmq.url)
        hinted = doctor("--url", own_rabbitmq.url)
    assert check == "alarms"
    assert "low on memory" in text
    assert by_check(hinted)["round trip"]["status"] == "skipped"


def test_a_policy_that_takes_messages_away(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.request(
        "PUT",
        ("policies", vhost, "short"),
        {"pattern": "^kchat", "definition": {"message-ttl": 100}, "apply-to": "queues"},
    )
    told = doctor("--url", rabbitmq.url_for(vhost), "--management-url", rabbitmq.management_url)
    found = by_check(told)["policy"]
    assert found["status"] == "note"
    assert "message-ttl 100" in found["text"]


def test_a_policy_whose_pattern_may_take_for_ever(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.request(
        "PUT",
        ("policies", vhost, "slow"),
        {"pattern": "^(k+)+!", "definition": {"message-ttl": 100}, "apply-to": "queues"},
    )
    told = doctor("--url", rabbitmq.url_for(vhost), "--management-url", rabbitmq.management_url)
    found = by_check(told)["policy"]
    assert found["status"] == "note"
    assert found["text"] == "none on subscribers' queues; not known of 'slow', whose pattern was not tried"


def test_a_clock_that_is_wrong(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    with TlsServer(None, answer) as server:
        url = f"http://127.0.0.1:{server.port}"
        told = doctor("--url", rabbitmq.url_for(vhost), "--management-url", url)
    found = by_check(told)["clock"]
    assert found["status"] == "wrong"
    assert "ahead of" in found["text"]


def test_one_node_of_two_that_is_away(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
    away = f"amqp://127.0.0.1:{free_port()}/"
    told = doctor("--url", f"{away};{rabbitmq.url_for(vhost)}")
    assert told["first"]["check"] == "tcp"
    assert len({finding["broker"] for finding in told["findings"]}) == 2
    assert told["findings"][-1]["status"] == "ok"


# ---- the library


def test_a_program_can_ask_too(amqp_url: str) -> None:
    findings = list(diagnose(Settings.resolve(url=amqp_url)))
    assert {finding.status for finding in findings} <= {Status.OK, Status.SKIPPED}
    assert [finding.check for finding in findings][:3] == ["settings", "dns", "tcp"]


# ---- the room's history


def test_a_history_that_is_bound_to_nothing_and_members_who_may_not_read_it(
    doctor: Doctor, commands: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    url, stream = rabbitmq.url_for(vhost), "kchat-history.chat"
    management = rabbitmq.management
    make_room(rabbitmq, vhost)
    named = ("--url", url, "--management-url", rabbitmq.management_url)

    def history_by(*words: str) -> tuple[str, str]:
        found = by_check(doctor(*words))["history"]
        return found["status"], found["text"]

    assert history_by(*named) == ("ok", "none; its host can switch one on, with kchat history on")
    assert commands.run_kchat("history", "on", *named).code == 0
    assert history_by(*named) == ("ok", f"it is on, and this account may read it ({stream})")
    with rabbitmq.new_account(vhost, **MEMBER) as account:
        status, text = history_by("--url", account.url)
        assert (status, text) == ("note", "this account may not read it")
    with rabbitmq.new_account(vhost, tags="kchat") as old:
        own = rf"^kchat\.chat\.{old.username.replace('-', chr(92) + '-')}\..*"
        both = rf"^chat$|^kchat\.chat\.presence$|{own}"
        read = rf"^chat$|^kchat\.chat\.durable$|^kchat\.chat\.presence$|{own}"
        management.permit(vhost, old.username, own, both, read)
        assert history_by(*named) == (
            "note",
            f"1 of the room's members may not read it, or its limits: {old.username}",
        )
        management.permit(vhost, old.username, own, both, rf"{read}|^kchat\-history\.chat$")
        assert history_by(*named) == (
            "note",
            f"1 of the room's members may not read it, or its limits: {old.username}",
        )
        status, text = history_by("--url", old.url)
        assert (status, text) == (
            "note",
            "it is on; this account does not know how long messages are kept, and is shown older ones, too",
        )
    for source, kind, destination in (
        ("kchat.chat.durable", "q", stream),
        ("chat", "e", "kchat.chat.durable"),
    ):
        management.request("DELETE", ("bindings", vhost, "e", source, kind, destination, "~"))
        told = doctor(*named)
        found = by_check(told)["history"]
        assert not told["ok"]
        assert (found["status"], found["text"]) == (
            "wrong",
            "it is on and keeps nothing: it is not bound to the room",
        )
        assert commands.run_kchat("history", "on", *named).code == 0
        assert history_by(*named)[0] == "ok"
