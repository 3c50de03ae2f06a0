"""`kchat invite --web` and `--token`, and `kchat revoke` for those guests: on RabbitMQ, Redis, and in a file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kchat.web.store import GuestStore
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.web.serving import ServeProcess, browser, serve_process

MESSAGES = "api/rooms/chat/messages"


class Host:
    """A host's commands, for one broker and one file with guests."""

    def __init__(self, commands: Commands, url: str, environment: dict[str, str]) -> None:
        self.commands = commands
        self.environment = {"KCHAT_URL": url, **environment}
        self.url = url

    def run(self, *arguments: str) -> Result:
        """Runs one of the host's commands."""
        return self.commands.run_kchat(*arguments, env=self.environment)

    def get(self, *arguments: str) -> str:
        """Runs one that succeeds, and returns the line on its standard output."""
        result = self.run(*arguments)
        assert result.code == 0, result.stderr
        (line,) = result.stdout.splitlines()
        return line

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[ServeProcess]:
        """A page of the host's, with which the commands share the guests' file."""
        with serve_process(
            self.commands, self.url, *arguments, environment={"LOGNAME": "the-host"}
        ) as served:
            self.environment["KCHAT_WEB_STORE"] = str(served.store)
            yield served


@pytest.fixture
def name(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A guest's name; the account is deleted afterwards."""
    chosen = f"grace{secrets.token_hex(3)}"
    yield chosen
    for user in rabbitmq.management.get("users"):
        if user["name"].startswith(chosen):
            rabbitmq.management.delete_user(user["name"])


@pytest.fixture
def on_rabbitmq(commands: Commands, rabbitmq: RabbitMQ, amqp_url: str) -> Host:
    """A host on RabbitMQ."""
    return Host(commands, amqp_url, {"KCHAT_MANAGEMENT_URL": rabbitmq.management_url})


@pytest.fixture
def on_a_file(commands: Commands, local_url: str) -> Host:
    """A host of an embedded room."""
    return Host(commands, local_url, {})


def say(page: httpx.Client, text: str) -> httpx.Response:
    return page.post(MESSAGES, json={"text": text})


def ends_as_revoked(page: httpx.Client, revoke: Callable[[], Result]) -> Result:
    """Opens a stream, revokes, and reads the stream to its end; returns how the command ended."""
    with page.stream("GET", "api/events") as events:
        lines = events.iter_lines()
        assert "event: live" in lines  # it reads up to there
        result = revoke()
        assert "event: revoked" in lines
        assert "your invitation has ended" in next(lines)
        assert not [line for line in lines if line]
    return result


def test_on_rabbitmq_a_guest_of_the_page_is_verified_until_revoked(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str
) -> None:
    host = on_rabbitmq
    with host.serving() as served:
        invited = host.run("invite", name, "--web", "--expires", "1h")
        assert invited.code == 0, invited.stderr
        (link,) = invited.stdout.splitlines()
        assert link.startswith(f"{served.base}/#")
        assert all(
            word in invited.stderr for word in ("may send and read", "opens once", f"kchat revoke {name}")
        )
        assert link.partition("#")[2] not in invited.stderr
        listening = host.commands.kchat(
            *("subscribe", "--mode", "json", "--limit", "1", "--url", host.url), env={}
        )
        listening.wait_for("chat")
        with browser(served.base, link) as page:
            me = page.get("api/session").json()
            assert (me["username"], me["account"], bool(me["until"])) == (name, name, True)
            with GuestStore(served.store) as store:
                found = store.find(name)
                assert found is not None
                assert found.password
                assert found.password not in page.get("api/session").text
            assert say(page, "hello from a browser").status_code == 200
            heard = json.loads(listening.read_line())
            assert (heard["message"], heard["account"], heard["verified"]) == (
                "hello from a browser",
                name,
                True,
            )
            revoked = ends_as_revoked(page, lambda: host.run("revoke", name))
            assert revoked.code == 0, revoked.stderr
            assert f"revoked {name}: out of the page, 1 session ended" in revoked.stderr
            assert f"revoked {name}: its account is gone" in revoked.stderr
            assert say(page, "more").status_code == 401
            assert page.get("api/session").status_code == 401
        assert not any(user["name"] == name for user in rabbitmq.management.get("users"))
        assert name not in host.run("invite", "--list").stdout


def test_on_rabbitmq_a_guest_who_exists_gets_another_link_and_the_list_shows_both(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str
) -> None:
    host = on_rabbitmq
    with host.serving() as served:
        first = host.get("invite", name, "--web")
        again = host.run("invite", name, "--web")
        assert (again.code, "another one" in again.stderr) == (0, True)
        with browser(served.base, first) as one, browser(served.base, again.stdout.strip()) as two:
            assert {one.get("api/session").json()["account"], two.get("api/session").json()["account"]} == {
                name
            }
            listed = host.run("invite", "--list").stdout.splitlines()
            row = next(line for line in listed if line.startswith(name) and "send and read" in line)
            assert row.split()[-3:] == ["2", "0", "0"]
        for more in (["--send-only"], ["--expires", "1h"], ["--room", "chat", "--room", "tea"]):
            refused = host.run("invite", name, "--web", *more)
            assert refused.code in (1, 2), more
            assert "guest already" in refused.stderr or "does not serve" in refused.stderr
        rabbitmq.management.delete_user(name)
        anew = host.run("invite", name, "--web")
        assert (anew.code, "is made again" in anew.stderr) == (0, True), anew.stderr
        with browser(served.base, anew.stdout.strip()) as page:
            assert say(page, "here again").status_code == 200


def test_on_rabbitmq_a_link_may_open_several_rooms_and_the_account_sends_to_those_alone(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str
) -> None:
    host = on_rabbitmq
    with (
        host.serving("--room", "chat", "--room", "tea", "--room", "lunch") as served,
        browser(served.base, served.link) as reader,
    ):
        for number, more in enumerate(([], ["--send-only"])):
            rooms = ["--room", "chat", "--room", "tea"]
            link = host.get("invite", f"{name}{number}", "--web", *rooms, *more)
            with browser(served.base, link) as page:
                for room in ("chat", "tea"):
                    answer = page.post(f"api/rooms/{room}/messages", json={"text": room})
                    assert answer.status_code == 200, (answer.text, more)
                assert page.post("api/rooms/lunch/messages", json={"text": "no"}).status_code == 404
            listed = host.run("invite", "--list").stdout
            rows = [line for line in listed.splitlines() if line.startswith(f"{name}{number} ")]
            account, guest = sorted(rows, key=lambda row: "chat, tea" in row)
            assert "chat, tea" in guest
            assert ("send only" in account) == bool(more)
            assert host.run("revoke", f"{name}{number}").code == 0
        for room in ("chat", "tea"):
            said = reader.get(f"api/rooms/{room}/messages").json()["messages"]
            assert [(each["username"], each["verified"]) for each in said] == [
                (f"{name}{number}", True) for number in (0, 1)
            ]


def test_revoke_ends_an_account_though_a_guest_of_another_brokers_page_has_its_name(
    on_rabbitmq: Host, name: str, local_url: str
) -> None:
    host = on_rabbitmq
    with Host(host.commands, local_url, {}).serving() as served:
        host.environment["KCHAT_WEB_STORE"] = str(served.store)
        assert host.run("invite", name, "--web", "--url", local_url).code == 0
        assert host.run("invite", name).code == 0
        revoked = host.run("revoke", name)
        assert (revoked.code, "its account is gone" in revoked.stderr) == (0, True), revoked.stderr
        again = host.run("revoke", name)
        assert (again.code, "is a guest at local://" in again.stderr) == (1, True), again.stderr
        assert host.run("revoke", name, "--url", local_url).code == 0


def test_a_guest_whose_account_somebody_made_anew_by_hand_can_be_revoked(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str
) -> None:
    host = on_rabbitmq
    with host.serving() as served:
        host.get("invite", name, "--web")
        rabbitmq.management.delete_user(name)
        rabbitmq.management.add_user(name, secrets.token_urlsafe(9))
        invited = host.run("invite", name, "--web")
        assert (invited.code, "there is an account" in invited.stderr) == (1, True), invited.stderr
        revoked = host.run("revoke", name)
        assert (revoked.code, "leaves it alone" in revoked.stderr) == (1, True), revoked.stderr
        with GuestStore(served.store) as store:
            assert store.find(name) is None
        assert any(user["name"] == name for user in rabbitmq.management.get("users"))


def test_a_token_lets_a_program_send_and_is_ended_by_revoke(on_a_file: Host) -> None:
    host = on_a_file
    with host.serving() as served:
        token = host.get("invite", "cron", "--token", "--send-only")
        bearer = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=served.base, headers=bearer, timeout=60) as program:
            assert say(program, "the backup is done").status_code == 200
            assert program.get(MESSAGES).status_code == 403
            assert program.post("api/session/link").status_code == 403
            assert host.run("revoke", "cron").code == 0
            assert say(program, "more").status_code == 401
        assert "the backup is done" in host.run("subscribe", "--last", "1", "--idle-timeout", "0.3").stdout


def test_in_a_file_a_guest_is_a_name_and_revoke_ends_it_without_an_account(on_a_file: Host) -> None:
    host = on_a_file
    with host.serving("--room", "chat", "--room", "tea") as served:
        invited = host.run("invite", "grace", "--web", "--room", "chat", "--room", "tea", "--qr")
        assert invited.code == 0, invited.stderr
        assert "names are not checked" in invited.stderr
        assert "▄" in invited.stderr
        with browser(served.base, invited.stdout.strip()) as page:
            assert [each["name"] for each in page.get("api/session").json()["rooms"]] == ["chat", "tea"]
            assert "grace" in host.run("invite", "--list").stdout
            assert ends_as_revoked(page, lambda: host.run("revoke", "grace")).code == 0
            assert page.get("api/session").status_code == 401
        again = host.run("revoke", "grace")
        assert (again.code, "made no accounts" in again.stderr) == (2, True)
        listed = host.run("invite", "--list")
        assert (listed.code, "grace" in listed.stdout, "be the host" in listed.stdout) == (0, False, True)
    without = host.run("invite", "--list", "--store", "none.db")
    assert (without.code, "lists no accounts" in without.stderr) == (2, True)


def test_a_guest_whose_time_is_over_is_out_at_that_moment(on_a_file: Host) -> None:
    host = on_a_file
    with host.serving() as served:
        link = host.get("invite", "grace", "--web", "--expires", "3s")
        with browser(served.base, link) as page, page.stream("GET", "api/events") as events:
            lines = events.iter_lines()
            assert "event: revoked" in lines
            assert page.get("api/session").status_code == 401
        listed = host.run("invite", "--list")
        assert "removed grace from the page, who expired" in listed.stderr
        assert "grace" not in listed.stdout


def test_names_that_are_taken_or_look_like_others_are_refused(on_a_file: Host) -> None:
    host = on_a_file
    with host.serving():
        assert host.run("invite", "grace", "--web").code == 0
        for name in ("the-host", "The-Host", "Grace", "gr\u0430ce", "grace?", " grace"):
            refused = host.run("invite", name, "--web")
            assert refused.code in (1, 2), name
            assert refused.stdout == ""
    taken = host.commands.run_kchat(
        *("serve", "--url", host.url, "--port", "0", "--username", "grace"), env=host.environment
    )
    assert (taken.code, "guest grace" in taken.stderr) == (2, True), taken.stderr


def test_the_page_has_to_be_known_and_to_serve_the_room(on_a_file: Host, tmp_path: Path) -> None:
    host = on_a_file
    unknown = host.run("invite", "grace", "--web", "--store", str(tmp_path / "no.db"))
    assert (unknown.code, "--public-url" in unknown.stderr) == (2, True)
    given = ["--store", str(tmp_path / "no.db"), "--public-url", "https://chat.example.org/"]
    assert host.get("invite", "grace", "--web", *given).startswith("https://chat.example.org/#")
    for wrong in ("chat.example.org", "https://u:p@chat.example.org", "ftp://x", "https://x/#y"):
        assert host.run("invite", "ada", "--web", *given[:3], wrong).code == 2, wrong
    with host.serving() as served:
        other = host.run("invite", "grace", "--web", "--room", "lunch")
        assert (other.code, "does not serve the room 'lunch'" in other.stderr) == (2, True)
        elsewhere = host.run("invite", "grace", "--web", "--url", f"local://{tmp_path}/other.db")
        assert (elsewhere.code, served.base in elsewhere.stderr) == (2, True)
        assert host.run("invite", "grace", "--web").code == 0
        wrong_place = host.run("revoke", "grace", "--url", f"local://{tmp_path}/other.db")
        assert (wrong_place.code, "is a guest at" in wrong_place.stderr) == (2, True)
    for arguments in (["grace", "--web", "--token"], ["--web"], ["grace", "--token", "--qr"]):
        assert host.run("invite", *arguments).code == 2, arguments


def test_on_redis_the_page_sends_by_the_guests_account_and_revoke_ends_that(
    commands: Commands, redis_server: Redis, redis_url: str
) -> None:
    name = f"grace{secrets.token_hex(3)}"
    host = Host(commands, redis_url, {})
    with host.serving() as served:
        refused = host.run("invite", name, "--web")
        assert (refused.code, "--apply" in refused.stderr) == (2, True), refused.stderr
        link = host.get("invite", name, "--web", "--apply")
        assert host.run("invite", name, "--web", "--apply").code == 0
        with browser(served.base, link) as page:
            assert page.get("api/session").json()["account"] == name
            assert say(page, "by my own account").status_code == 200
            assert name in str(redis_server.command("ACL", "USERS"))
            revoked = ends_as_revoked(page, lambda: host.run("revoke", name))
            assert revoked.code == 0, revoked.stderr
            assert say(page, "more").status_code == 401
        assert name not in str(redis_server.command("ACL", "USERS"))


def test_an_interrupted_revoke_has_closed_the_page_and_goes_on_the_next_time(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str
) -> None:
    host = on_rabbitmq
    with host.serving() as served, browser(served.base, host.get("invite", name, "--web")) as page:
        nowhere = f"http://localhost:{free_port()}"
        failed = host.run("revoke", name, "--management-url", nowhere)
        assert (failed.code, "out of the page" in failed.stderr) == (1, True), failed.stderr
        assert page.get("api/session").status_code == 401
        assert any(user["name"] == name for user in rabbitmq.management.get("users"))
        again = host.run("revoke", name)
        assert (again.code, "its account is gone" in again.stderr) == (0, True), again.stderr
        assert not any(user["name"] == name for user in rabbitmq.management.get("users"))
        with GuestStore(served.store) as store:
            assert store.find(name) is None


def test_a_guests_file_that_cannot_be_used_does_not_keep_an_account_from_being_revoked(
    on_rabbitmq: Host, rabbitmq: RabbitMQ, name: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database " * 100)
    broken.chmod(0o600)
    assert on_rabbitmq.run("invite", name).code == 0
    revoked = on_rabbitmq.run("revoke", name, "--store", str(broken))
    assert revoked.code == 2
    assert f"revoked {name}: its account is gone" in revoked.stderr
    assert "is not a file with kchat's guests" in revoked.stderr
    assert not any(user["name"] == name for user in rabbitmq.management.get("users"))


def test_two_commands_that_invite_the_same_guest_at_once_make_one_account(
    on_rabbitmq: Host, name: str
) -> None:
    host = on_rabbitmq
    with host.serving() as served:
        both = [host.commands.kchat("invite", name, "--web", env=host.environment) for _ in range(2)]
        assert [each.wait() for each in both] == [0, 0], [each.stderr for each in both]
        for process in both:
            with browser(served.base, process.lines[0]) as page:
                assert page.get("api/session").json()["account"] == name
