"""Google's client is imported when a connection is opened and not before; without it, the error says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kombu
import pytest

from kchat import Broker, KchatError, transports
from kchat.transports.pubsub.errors import MissingDriver

LOOK = """
import sys
import kchat.transports, kombu
kchat.transports.register()
transport = kombu.Connection("pubsub://project").transport
print(transport.implements.exchange_type == {"direct", "fanout"}, transport.connection_errors != ())
print([name for name in sys.modules if name.split(".")[0] in ("google", "grpc", "proto")])
"""


def test_googles_libraries_are_not_imported_before_a_connection_is_opened() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n[]\n"


def test_without_the_driver_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    transports.register()
    monkeypatch.setitem(sys.modules, "google.pubsub_v1", None)
    monkeypatch.delattr("google.pubsub_v1", raising=False)
    with (
        kombu.Connection("pubsub://project") as connection,
        pytest.raises(MissingDriver, match=r'pip install "kombu-chat\[pubsub\]"') as missing,
    ):
        connection.ensure_connection(max_retries=0)
    assert isinstance(missing.value, ImportError)


@pytest.mark.parametrize("options", [{"ack_deadline": 5}, {"ack_deadline": "x"}, {"confirm_timeout": "soon"}])
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    transports.register()
    with (
        kombu.Connection("pubsub://project", transport_options=options) as connection,
        pytest.raises(ValueError, match=f"transport option {next(iter(options))}: "),
    ):
        connection.ensure_connection(max_retries=0)


def test_a_sweep_that_fails_is_kchats_error_and_names_the_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    broker = Broker.parse("pubsub://project")
    with pytest.raises(KchatError, match="pubsub://project"):
        broker.transport.stale_queues(broker, "chat")
