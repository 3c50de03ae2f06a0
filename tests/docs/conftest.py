"""A walk through a page: a copy of the checkout, kchat on the path, and RabbitMQ as the page brings it up."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.docker import Compose, image_is_here, why_not
from tests.brokers.management import Management
from tests.brokers.ports import free_port
from tests.brokers.pubsub import Emulator
from tests.brokers.rabbitmq_machine import MachineRabbitMQ
from tests.brokers.require import choice
from tests.docs.examples import ROOT
from tests.docs.walk import Walk, path_with

_IN_PLACE_OF_COMPOSE = """\
#!{python}
import os, re, subprocess, sys
if "rabbitmq.yml" not in sys.argv[3]:
    sys.exit(0)  # another broker, which runs already
arguments = sys.argv[sys.argv.index("-f") + 2 :]
if arguments[:1] == ["up"]:  # RabbitMQ runs already: it gets the password that it would have been started with
    password = re.search("^RABBITMQ_DEFAULT_PASS=(.*)", open(".env").read(), re.M)[1]
    ctl = ["change_password", "rmq", password]
elif arguments[:3] == ["exec", "rabbitmq", "rabbitmqctl"]:
    ctl = arguments[3:]
elif arguments[:1] == ["down"]:
    sys.exit(0)
else:
    sys.exit("not known here: docker " + " ".join(sys.argv[1:]))
os.execve({rabbitmqctl!r}, [{rabbitmqctl!r}, "-n", {node!r}, *ctl], {environment!r})
"""


def _password(checkout: Path) -> str:
    """The password that the page has put into ``.env``."""
    lines = (checkout / ".env").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("RABBITMQ_DEFAULT_PASS="))


def _by_docker() -> bool:
    image = os.environ.get("RABBITMQ_IMAGE", "rabbitmq:3.10.6-management")
    return choice() != "machine" and not why_not() and image_is_here(image)


@pytest.fixture
def walk(
    tmp_path: Path, tmux: str, request: pytest.FixtureRequest, pubsub_emulator: Emulator
) -> Iterator[Walk]:
    """A walk through a page.

    With Docker, `docker compose` brings RabbitMQ up, on free ports. Without, a RabbitMQ of the machine's runs already, and a
    `docker` that the page finds on its path hands `rabbitmqctl` on to it. The emulator of Pub/Sub runs already.
    """
    folder = tmp_path / "walk"
    checkout = folder / "checkout"
    checkout.mkdir(parents=True)
    shutil.copy(ROOT / ".env.example", checkout)
    shutil.copytree(ROOT / "compose", checkout / "compose", symlinks=True)
    scripts = {
        "kchat": f'#!/bin/sh\nexec "{sys.executable}" -P -m kchat "$@"\n',
        "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
    }
    environment = {"PYTHONPATH": str(ROOT)}
    node = None
    compose = None
    if _by_docker():
        port, management_port = free_port(), free_port()
        environment |= {
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith(("DOCKER_", "RABBITMQ_IMAGE"))
            },
            "KCHAT_RABBITMQ_NAME": f"kchat-test-{secrets.token_hex(4)}",
            "KCHAT_AMQP_PORT": str(port),
            "KCHAT_MANAGEMENT_PORT": str(management_port),
        }
        compose = Compose(
            [checkout / "compose/rabbitmq.yml"],
            environment["KCHAT_RABBITMQ_NAME"],
            {**environment, "RABBITMQ_DEFAULT_PASS": "asked for by the file, used by `up` only"},
        )
        management_url = f"http://localhost:{management_port}"
    else:
        node = request.getfixturevalue("own_rabbitmq")
        assert isinstance(node, MachineRabbitMQ)
        port, management_url = node.port, node.management_url
        scripts["docker"] = _IN_PLACE_OF_COMPOSE.format(
            python=sys.executable,
            rabbitmqctl=str(node._scripts / "rabbitmqctl"),
            node=node.node,
            environment=node._environment(),
        )
    environment |= {"PATH": path_with(folder / "bin", **scripts), "KCHAT_MANAGEMENT_URL": management_url}

    def publish(payload: str) -> None:
        management = Management(management_url, "rmq", _password(checkout))
        assert management.publish("/", "chat", payload)

    instead = {
        "export KCHAT_HOST=localhost": f"export KCHAT_HOST=localhost KCHAT_PORT={port}",
        "localhost:5672": f"localhost:{port}",
        "localhost:15672": management_url.removeprefix("http://"),
        '"localhost",': f'"localhost", port={port},',
        "broker.example": f"localhost:{port}",
        "localhost:8085": pubsub_emulator.address,
        "my-project": pubsub_emulator.new_project(),
    }
    made = Walk(folder, tmux, environment, instead, publish)
    try:
        yield made
    finally:
        made.close()
        if node is not None:
            _as_before(node)
        if compose is not None:
            compose.run("down", "--volumes", "--timeout", "1")


@pytest.fixture
def walk_without_a_broker(tmp_path: Path, tmux: str) -> Iterator[Walk]:
    """A walk through a page whose commands need no server."""
    folder = tmp_path / "walk"
    (folder / "checkout").mkdir(parents=True)
    script = f'#!/bin/sh\nexec "{sys.executable}" -P -m kchat "$@"\n'
    environment = {"PYTHONPATH": str(ROOT), "PATH": path_with(folder / "bin", kchat=script)}

    def publish(payload: str) -> None:
        raise AssertionError(payload)

    # A short path: the page's lines are looked for as a terminal shows them.
    with tempfile.TemporaryDirectory(prefix="kchat-") as rooms:
        made = Walk(folder, tmux, environment, {"/tmp/bridge-": f"{rooms}/"}, publish)
        yield made
        made.close()


def _as_before(node: MachineRabbitMQ) -> None:
    """Take back what a page has changed in the default virtual host of a RabbitMQ that other tests use."""
    node.ctl("change_password", "rmq", node.password)
    for user in node.management.get("users"):
        if user["name"] != "rmq":
            node.management.delete_user(user["name"])
    for queue in node.management.queues("/"):
        node.management.delete_queue("/", queue["name"])
    for exchange in node.management.exchanges("/"):
        if exchange["name"] and not exchange["name"].startswith("amq."):
            node.management.delete_exchange("/", exchange["name"])
