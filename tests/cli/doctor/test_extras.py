"""What the doctor says without a driver, of a transport that brings no checks, and of a secret in the wrong place."""

from __future__ import annotations

import pytest

from kchat import Settings
from kchat.doctor import Options, diagnose
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.cli.doctor.asking import PASSWORD, Doctor, by_check

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from kchat.__main__ import run
run()
"""


@pytest.mark.parametrize(
    ("driver", "url"), [("redis", "redis://localhost/"), ("google.cloud.pubsub_v1", "pubsub://project")]
)
def test_the_doctor_names_the_extra_that_is_missing(commands: Commands, driver: str, url: str) -> None:
    process = commands.python(WITHOUT, driver, "doctor", "--url", url)
    assert process.wait() == 1, process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout.splitlines()[-1] == "wrong: settings"
    assert 'pip install "kombu-chat[' in process.stdout


def test_a_password_in_the_management_url_is_not_shown(doctor: Doctor, amqp_url: str) -> None:
    for url in (f"http://ada:{PASSWORD}@127.0.0.1:{free_port()}", f"http://[ada:{PASSWORD}@"):
        told = doctor("--url", amqp_url, "--management-url", url)
        assert by_check(told)["clock"]["status"] == "skipped"


def test_a_transport_that_brings_no_checks_is_tried_with_a_message() -> None:
    def ask(options: Options) -> list[tuple[str, str]]:
        return [
            (finding.check, finding.status.value)
            for finding in diagnose(Settings.resolve(url="memory://"), options)
        ]

    well = [("settings", "ok"), ("connect", "ok")]
    assert ask(Options()) == [*well, ("round trip", "ok")]
    assert ask(Options(only="send")) == [*well, ("round trip", "skipped")]
    assert ask(Options(only="send", send_test=True)) == [*well, ("round trip", "ok")]
