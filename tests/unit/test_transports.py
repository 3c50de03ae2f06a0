"""The registry of transports, what is shown of it, and that page, places and modules keep up with it."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
from pathlib import Path

import kombu.transport
import pytest
from click.testing import CliRunner

from kchat import TRANSPORTS, MissingExtra, SettingsError
from kchat.cli import transports as shown
from kchat.cli.flags import with_flags
from kchat.errors import Hint
from kchat.transports import Transport, by_scheme, register

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"

every_transport = pytest.mark.parametrize(
    "info", [TRANSPORTS[name] for name in TRANSPORTS.built_in], ids=TRANSPORTS.built_in
)


def test_the_tables_of_the_page_are_what_the_port_says() -> None:
    maker = runpy.run_path(str(PAGE.parent / "make_transports.py"))
    written = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"begin: (\w+), by make_transports\.py -->\n\|", written) == list(maker["TABLES"])
    assert written == maker["page"](), "run: python docs/make_transports.py"


@every_transport
def test_the_page_has_a_section_for_each_transport_with_its_url(info: Transport) -> None:
    section = PAGE.read_text().partition(f"\n## `{info.name}`\n")[2].partition("\n## ")[0]
    assert f"{next(iter(info.schemes))}://" in section or info.name in section
    assert len(section) > 200


@every_transport
def test_the_contract_has_a_place_for_each_transport(info: Transport) -> None:
    assert importlib.util.find_spec(f"tests.contract.places.{info.name}") is not None


@every_transport
def test_every_scheme_leads_to_its_transport(info: Transport) -> None:
    for scheme in info.schemes:
        assert by_scheme(scheme) is info


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match="'ftp'") as told:
        by_scheme("ftp")
    assert "redis" in told.value.hint


def test_a_missing_driver_names_the_command_that_installs_it() -> None:
    class WithoutDriver(type(TRANSPORTS["redis"])):  # type: ignore[misc]  # a class that is found at run time
        driver = "no_such_module.at_all"

    info = WithoutDriver()
    assert not info.installed
    with pytest.raises(MissingExtra) as told:
        info.require()
    assert 'pip install "kombu-chat[redis]"' in told.value.hint


def test_kchats_transports_are_known_to_kombu_and_kombus_stay_what_they_are() -> None:
    before = dict(kombu.transport.TRANSPORT_ALIASES)
    register()
    after = kombu.transport.TRANSPORT_ALIASES
    assert after["local"] == TRANSPORTS["local"].schemes["local"]
    assert after["pubsub"] == TRANSPORTS["pubsub"].schemes["pubsub"]
    assert {name: after[name] for name in before} == before
    assert after["redis"] == "kombu.transport.redis:Transport"


def test_kchat_transports_shows_each_with_its_url_and_what_it_can_do() -> None:
    result = CliRunner().invoke(shown.command)
    assert result.exit_code == 0
    urls, able, _ = (part.splitlines() for part in result.output.split("\n\n"))
    names = able[0].split()
    for info in map(TRANSPORTS.__getitem__, TRANSPORTS.built_in):
        line = next(line for line in urls if line.startswith(f"{info.name} "))
        assert info.url_form in line
        rows = [re.split("  +", row.strip()) for row in able[1:]]
        answers = {row[0]: row[1 + names.index(info.name)] for row in rows}
        can = {
            name.replace("_", " "): "yes" if able_to else "no" for name, able_to in info.capabilities.items()
        }
        if info.capabilities.history and info.history("chat").by_host:
            can["history"] = "by host"
        if info.name in ("amqp", "redis"):
            can["positions"] = "in history"
        assert answers == can
        assert f"{info.name}: {with_flags(Hint(info.note))}" in result.output


def test_kchat_transports_as_json_is_for_programs() -> None:
    told = {
        each["transport"]: each for each in json.loads(CliRunner().invoke(shown.command, ["--json"]).output)
    }
    assert list(told)[: len(TRANSPORTS.built_in)] == list(TRANSPORTS.built_in)
    assert told["redis"]["capabilities"]["durable"] is False
    assert {name: each["positions_in_history"] for name, each in told.items() if each["install"] is None} == {
        "amqp": True,
        "local": False,
        "memory": False,
    }
    assert all(each["abilities"] == each["capabilities"] for each in told.values())
    assert told["redis"]["install"] == 'pip install "kombu-chat[redis]"'
    assert told["local"]["install"] is None
