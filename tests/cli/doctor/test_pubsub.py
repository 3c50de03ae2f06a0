"""Pub/Sub that is well, and such as is out of reach in one way each: is that way the one that is named?"""

from __future__ import annotations

import re

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.cli.doctor.asking import Doctor, by_check


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


def test_findings_stand_in_one_column_whatever_their_checks_are_called(commands: Commands) -> None:
    environment = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}"}
    told = commands.run_kchat(
        "doctor", "--project", "my-project", "--connect-timeout", "1.5", env=environment
    )
    rows = [row for row in told.stdout.splitlines() if row.startswith("  ") and "->" not in row]
    found = [re.fullmatch(r"( {2}\w+ +)([a-z]+(?: [a-z]+)?)( {2,})\S.*", row) for row in rows]
    names = [row[2] for row in found if row]
    assert {"settings", "credentials", "permissions", "round trip"} <= set(names), told.stdout
    assert len({len(row[1] + row[2] + row[3]) for row in found if row}) == 1, told.stdout
    assert len(names) == len(rows), told.stdout


def test_an_emulator_that_is_not_there(doctor: Doctor) -> None:
    environment = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}"}
    assert doctor.first("--project", "my-project", env=environment)[0] == "api"
