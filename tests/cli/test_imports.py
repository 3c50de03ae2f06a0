"""What a command loads: only what it uses. By `python -X importtime`, of which the names count here and not the times."""

from __future__ import annotations

import pytest

from tests.brokers.processes import Commands

NEVER = [
    "google",
    "grpc",
    "redis",
    "pika",
    "celery",
    "platformdirs",
    "rich",
    "asyncio",
    "starlette",
    "uvicorn",
    "anyio",
]
"""Top-level packages that neither help nor sending on AMQP or in an embedded room may load."""


def loaded(commands: Commands, *arguments: str) -> set[str]:
    """The modules that a command imports, as ``python -X importtime`` tells."""
    process = commands.kchat(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert process.wait() == 0, process.stderr
    told = [line.split("|") for line in process.stderr.splitlines() if line.startswith("import time:")]
    modules = {columns[2].strip() for columns in told}
    assert {"site", "kchat", "click"} <= modules
    return modules


def unwanted(modules: set[str], *packages: str) -> list[str]:
    """Those of the modules that belong to these packages."""
    return sorted(
        name for name in modules if any(name == top or name.startswith(top + ".") for top in packages)
    )


@pytest.mark.parametrize("command", [[], ["send"], ["subscribe"], ["transports"], ["serve"]])
def test_help_loads_no_driver_and_no_kombu(commands: Commands, command: list[str]) -> None:
    modules = loaded(commands, *command, "--help")
    assert unwanted(modules, *NEVER, "kombu", "amqp", "sqlite3", "ssl", "kchat.message.message") == []


def test_sending_on_amqp_loads_no_rich_and_no_other_driver(commands: Commands, amqp_url: str) -> None:
    modules = loaded(commands, "send", "--url", amqp_url, "hello")
    # Nor what only receiving, odd texts and long names need.
    seldom = [
        "hashlib",
        "secrets",
        "sqlite3",
        "kchat.bench",
        "kchat.display",
        "kchat.doctor",
        "kchat.message.unprintable",
    ]
    assert unwanted(modules, *NEVER, *seldom, "kchat.client.subscriber", "kchat.transports.local") == []


def test_sending_in_an_embedded_room_loads_no_rich_and_no_other_driver(
    commands: Commands, local_url: str
) -> None:
    modules = loaded(commands, "send", "--quiet", "--url", local_url, "hello")
    assert (
        unwanted(modules, *NEVER, "kchat.display.rich", "kchat.client.subscriber", "kombu.transport.pyamqp")
        == []
    )


@pytest.mark.parametrize("mode", ["plain", "json", "print"])
def test_only_the_rich_mode_loads_rich(commands: Commands, local_url: str, mode: str) -> None:
    modules = loaded(
        commands, "subscribe", "--quiet", "--url", local_url, "--mode", mode, "--idle-timeout", "0.1"
    )
    assert unwanted(modules, *NEVER) == []


def test_the_package_alone_loads_nothing_but_the_standard_library(commands: Commands) -> None:
    process = commands.python("import sys, kchat; print(*sorted(sys.modules), sep='\\n')")
    assert process.wait() == 0
    assert unwanted(set(process.stdout.split()), *NEVER, "click", "kombu", "amqp", "dataclasses") == []
