"""``kchat doctor``: set-ups that are broken in one way each, and whether that way is the one that is named."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from kchat import Message, Sender, Settings, Subscriber
from kchat.doctor import Status, diagnose
from tests.brokers.management import Management
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.brokers.tls_server import Authority, TlsServer

PASSWORD = "s3cr3t-of-ada"
MEMBER = {
    "configure": r"^kchat\.chat\..*",
    "write": r"^(chat|kchat\.chat\..*)$",
    "read": r"^(chat|kchat\.chat\..*)$",
}


class Doctor:
    """Runs the command and reads what it writes."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def __call__(self, *arguments: str, env: dict[str, str] | None = None, seconds: float = 30) -> Any:
        """Returns the findings as JSON."""
        result = self._commands.run_kchat(
            "doctor", "--json", "--connect-timeout", "1.5", *arguments, env=env, seconds=seconds
        )
        return self._read(result)

    def _read(self, result: Result) -> Any:
        assert "Traceback" not in result.stderr, result.stderr
        assert PASSWORD not in result.stdout + result.stderr
        told = json.loads(result.stdout)
        assert result.code == (0 if told["ok"] else 1)
        return told

    def first(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[str, str]:
        """Returns the name of the first step that is wrong, and what is said about it, the advice included."""
        told = self(*arguments, env=env)
        assert not told["ok"], told
        return told["first"]["check"], f"{told['first']['text']} / {told['first']['hint']}"


@pytest.fixture
def doctor(commands: Commands) -> Doctor:
    return Doctor(commands)


def by_check(told: Any) -> dict[str, Any]:
    return {finding["check"]: finding for finding in told["findings"]}


# ---- all is well


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


def test_nothing_is_left_behind_and_nothing_is_made(doctor: Doctor, rabbitmq: RabbitMQ, vhost: str) -> None:
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
        (message,) = subscriber.receive(timeout=5)
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
    assert result.stdout.splitlines()[-1] == "all is well: a message made the round trip"
    assert "  ok      login" in result.stdout
    assert "\x1b" not in result.stdout


def test_what_is_wrong_is_shown_with_what_to_do(commands: Commands) -> None:
    result = commands.run_kchat("doctor", "--host", "127.0.0.1", "--port", str(free_port()))
    assert result.code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "wrong: tcp"
    (wrong,) = (number for number, line in enumerate(lines) if line.startswith("  wrong"))
    assert "->" in lines[wrong + 1]
    assert "not reached: tcp comes first" in lines[-2]


# ---- 1: settings, name, port


def test_settings_that_make_no_sense(doctor: Doctor) -> None:
    assert doctor.first("--url", f"amqp//ada:{PASSWORD}@h")[0] == "settings"
    assert doctor.first("--host", "h", "--tls-ca", "missing.pem")[0] == "settings"
    assert doctor.first("--transport", "pubsub")[0] == "settings"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_host_that_does_not_exist(doctor: Doctor, host: str) -> None:
    check, text = doctor.first("--host", host, "--rmq-password", PASSWORD)
    assert check == "dns"
    assert host in text


def test_a_closed_port(doctor: Doctor) -> None:
    port = str(free_port())
    check, text = doctor.first("--host", "127.0.0.1", "--port", port, "--rmq-password", PASSWORD)
    assert check == "tcp"
    assert "refused" in text
    assert port in text


@contextmanager
def dropping_port() -> Iterator[int]:
    """A port at which the kernel drops what comes, as a firewall does: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port: int = server.getsockname()[1]
        waiting: list[socket.socket] = []
        try:
            while len(waiting) < 20:
                waiting.append(socket.create_connection(("127.0.0.1", port), 0.3))
            raise AssertionError("the queue of connections does not fill")
        except TimeoutError:
            yield port
        finally:
            for sock in waiting:
                sock.close()


def test_a_firewall_that_drops_what_comes(doctor: Doctor) -> None:
    with dropping_port() as port:
        check, text = doctor.first("--host", "127.0.0.1", "--port", str(port))
    assert check == "tcp"
    assert "firewall" in text


def test_a_port_that_accepts_and_says_nothing(
    doctor: Doctor, rabbitmq: RabbitMQ, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(rabbitmq.port)
    proxy.black_hole()
    check, text = doctor.first("--host", proxy.host, "--port", str(proxy.port))
    assert check == "amqp"
    assert "no answer in time" in text


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "web server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak AMQP"),
    ],
)
def test_a_port_at_which_something_else_is(doctor: Doctor, greeting: bytes, words: str) -> None:
    with TlsServer(None, greeting) as server:
        check, text = doctor.first("--host", "127.0.0.1", "--port", str(server.port))
    assert check == "amqp"
    assert words in text


# ---- 2: TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_fault(doctor: Doctor, context: ssl.SSLContext, *arguments: str) -> str:
    """What the doctor says of a server with this certificate; no password reached it."""
    with TlsServer(context) as server:
        check, text = doctor.first("--url", f"amqps://ada:{PASSWORD}@localhost:{server.port}", *arguments)
        assert server.received == b""
    assert check == "tls"
    return text


def test_a_certificate_of_an_unknown_ca(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("localhost"))
    assert "not trusted" in text
    assert "--tls-ca" in text
    assert "pin sha256:" in text


def test_an_expired_certificate(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(
        doctor, authority.context("localhost", starts=-9, ends=-2), "--tls-ca", str(authority.file)
    )
    assert "has expired" in text
    assert "until 20" in text


def test_a_certificate_for_another_name(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("other.example"), "--tls-ca", str(authority.file))
    assert "other names than localhost" in text
    assert "for other.example" in text


def test_a_certificate_that_is_not_the_pinned_one(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("localhost"), "--tls-pin", "sha256:" + "ab" * 32)
    assert "in between" in text


def test_tls_on_a_port_without_it_and_the_reverse(
    doctor: Doctor, rabbitmq: RabbitMQ, tls_rabbitmq: RabbitMQ
) -> None:
    check, text = doctor.first("--url", f"amqps://localhost:{rabbitmq.port}")
    assert check == "tls"
    assert "no TLS" in text
    check, text = doctor.first("--url", f"amqp://localhost:{tls_rabbitmq.port}")
    assert check == "amqp"
    assert "TLS is on" in text


def test_a_client_certificate_of_another_ca(
    doctor: Doctor, commands: Commands, tls_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    assert commands.run_kchat("certify", str(folder), "--client", "ada").code == 0
    check, text = doctor.first(
        *("--url", f"amqps://localhost:{tls_rabbitmq.port}", "--tls-ca", f"{tls_rabbitmq.tls}/ca.pem"),
        *("--tls-cert", f"{folder}/client-ada.pem", "--tls-key", f"{folder}/client-ada-key.pem"),
    )
    assert check == "tls"
    assert "CA of the client's certificate" in text


def test_a_broker_with_tls_on_which_all_is_well(doctor: Doctor, tls_rabbitmq: RabbitMQ) -> None:
    ca = f"{tls_rabbitmq.tls}/ca.pem"
    told = doctor("--url", tls_rabbitmq.url_for(host="localhost"), "--tls-ca", ca)
    assert told["ok"], told
    text = by_check(told)["tls"]["text"]
    assert "TLSv1." in text
    assert "broker.example" in text
    pin = text.partition("pin ")[2].split()[0]
    assert doctor("--url", tls_rabbitmq.url_for(host="localhost"), "--tls-pin", pin)["ok"]


# ---- 3: account


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


# ---- 4: room and broker


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
    assert "may not make it" in text
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


# ---- 5: the embedded room


def test_an_embedded_room_on_which_all_is_well(doctor: Doctor, local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    assert doctor("--url", local_url)["ok"]
    assert not Path(settings.broker.path).exists()  # nothing is made
    with Sender(settings, "ada") as sender:
        sender.send("hello")
    with Subscriber(settings, "bob", last=10) as subscriber:
        told = doctor("--url", local_url)
        assert told["ok"], told
        assert [message.message for message in subscriber.receive(timeout=5)] == ["hello"]
        assert subscriber.receive(timeout=0.2) == []
    assert by_check(told)["round trip"]["status"] == "ok"


def local_room(url: str) -> Path:
    settings = Settings.resolve(url=url)
    with Sender(settings, "ada") as sender:
        sender.send(Message.compose("ada", "hello"))
    return Path(settings.broker.path)


def test_a_file_that_is_no_room(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but a text of some length\n" * 100)
    check, text = doctor.first("--url", f"local://{tmp_path}/text.db")
    assert check == "schema"
    assert "not an SQLite file" in text
    check, _ = doctor.first("--url", f"local://{tmp_path}")
    assert check == "file"
    check, _ = doctor.first("--url", f"local://{tmp_path}/text.db/room.db")
    assert check == "file"


def test_a_file_that_somebody_keeps_locked(doctor: Doctor, local_url: str) -> None:
    path = local_room(local_url)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        check, text = doctor.first("--url", local_url)
    assert check == "lock"
    assert "locked" in text


IN_A_BAD_PLACE = """
import os, resource, sys
from kchat import Settings, Sender
from kchat.doctor import Status, diagnose

def first(url):
    for finding in diagnose(Settings.resolve(url=url, connect_timeout=1)):
        if finding.status is Status.WRONG:
            return f"{finding.check}: {finding.text}"
    return "well"

assert first(sys.argv[1]) == "well"  # so that all is imported: a stranger may not read it
if sys.argv[3] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
elif not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
print(first(sys.argv[2]))
"""


def test_a_file_that_is_not_ours_to_write(commands: Commands) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = f"local://{folder}/own.db"
        path = local_room(f"local://{folder}/room.db")
        local_room(own)
        path.chmod(0o444)
        folder.chmod(0o555)
        try:
            stranger = commands.python(IN_A_BAD_PLACE, own, f"local://{path}", "stranger")
            assert stranger.wait() == 0, stranger.stderr
        finally:
            folder.chmod(0o700)
    assert stranger.stdout.startswith("rights: "), stranger.stdout


def test_a_disk_that_takes_nothing_more(commands: Commands, local_url: str, tmp_path: Path) -> None:
    own = f"local://{tmp_path}/own.db"
    local_room(own)
    local_room(local_url)
    process = commands.python(IN_A_BAD_PLACE, own, local_url, "full")
    assert process.wait() == 0, process.stderr
    assert process.stdout.startswith(("round trip: ", "schema: ")), process.stdout
    assert "disk" in process.stdout or "space" in process.stdout


# ---- 6: Redis and Pub/Sub


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


def test_a_redis_that_is_none(doctor: Doctor, rabbitmq: RabbitMQ) -> None:
    assert doctor.first("--url", f"redis://127.0.0.1:{rabbitmq.port}/0")[0] == "redis"


def test_an_emulator_on_which_all_is_well(doctor: Doctor, pubsub_emulator: Emulator) -> None:
    url = pubsub_emulator.url(pubsub_emulator.new_project())
    told = doctor("--url", url, "--connect-timeout", "5", env=pubsub_emulator.environment, seconds=60)
    assert told["ok"], told
    assert by_check(told)["round trip"]["status"] == "ok"


def test_pubsub_without_credentials(doctor: Doctor) -> None:
    # An address at which Google's library finds no machine of Google's, and no network is needed to see that.
    environment = {"NO_GCE_CHECK": "true", "GCE_METADATA_HOST": f"127.0.0.1:{free_port()}"}
    check, text = doctor.first("--project", "my-project", env=environment)
    assert check == "credentials"
    assert "gcloud auth" in text


def test_an_emulator_that_is_not_there(doctor: Doctor) -> None:
    environment = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}"}
    assert doctor.first("--project", "my-project", env=environment)[0] == "api"


# ---- the library


def test_a_program_can_ask_too(amqp_url: str) -> None:
    findings = list(diagnose(Settings.resolve(url=amqp_url)))
    assert {finding.status for finding in findings} <= {Status.OK, Status.SKIPPED}
    assert [finding.check for finding in findings][:3] == ["settings", "dns", "tcp"]


# ---- what other commands say


def test_a_failure_ends_with_the_doctor_and_the_same_options(commands: Commands) -> None:
    port = str(free_port())
    result = commands.run_kchat(
        *("send", "--host", "127.0.0.1", "--port", port, "--room", "a room", "--rmq-password", PASSWORD),
        *("--username", "ada", "hi"),
    )
    assert result.code == 1
    assert PASSWORD not in result.stderr
    _, hint = result.stderr.splitlines()
    assert hint.strip().endswith(
        f"kchat doctor --room 'a room' --host 127.0.0.1 --port {port} --ask-password"
    )


def test_a_password_in_a_url_is_not_repeated(commands: Commands) -> None:
    port = free_port()
    url = f"amqp://ada:{PASSWORD}@127.0.0.1:{port}/v%2Fh;amqp://127.0.0.1:{port}/"
    result = commands.run_kchat("subscribe", "--url", url)
    assert PASSWORD not in result.stderr
    assert (
        f"kchat doctor --url 'amqp://ada@127.0.0.1:{port}/v%2Fh;amqp://127.0.0.1:{port}/' --ask-password"
        in result.stderr
    )


def test_what_is_wrong_usage_does_not_send_anybody_to_the_doctor(commands: Commands) -> None:
    assert "doctor" not in commands.run_kchat("send", "--room", "", "hi").stderr


def test_the_doctor_does_not_send_anybody_to_the_doctor(commands: Commands) -> None:
    result = commands.run_kchat("doctor", "--host", "127.0.0.1", "--port", str(free_port()))
    assert "kchat doctor" not in result.stdout + result.stderr
