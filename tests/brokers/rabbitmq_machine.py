"""The machine's own ``rabbitmq-server``, started on free ports with its own data, node name and cookie."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.brokers.daemon import Daemon
from tests.brokers.docker import COMPOSE
from tests.brokers.found import NotHere
from tests.brokers.ports import free_port, listens
from tests.brokers.rabbitmq_node import RabbitMQ
from tests.brokers.wait import wait_until

HOST = "127.0.0.1"
# Debian's /usr/sbin/rabbitmq-server changes to the user rabbitmq and writes to /var/log: not that one.
DEBIAN_SCRIPTS = Path("/usr/lib/rabbitmq/bin")


def scripts() -> Path:
    """Returns the folder of RabbitMQ's scripts.

    Raises:
        NotHere: RabbitMQ is not installed.
    """
    if (DEBIAN_SCRIPTS / "rabbitmq-server").exists():
        return DEBIAN_SCRIPTS
    found = shutil.which("rabbitmq-server")
    if found is None:
        raise NotHere("rabbitmq-server is not installed")
    return Path(found).resolve().parent


class Erlang:
    """What the nodes of one cluster share: the cookie, and a port mapper (epmd) of their own.

    With an epmd of our own, no node of ours shows up beside the machine's, and none is left behind.

    Arguments:
        folder: becomes the nodes' home.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        self.port = free_port(HOST)
        epmd = shutil.which("epmd")
        if epmd is None:
            raise NotHere("epmd, of Erlang, is not installed")
        self._epmd = Daemon([epmd], folder / "epmd.log", self.environment())

    def environment(self) -> dict[str, str]:
        """Returns the environment of every Erlang process of ours, with nothing of the machine's RabbitMQ."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        return {
            **kept,
            "HOME": str(self.home),
            "ERL_EPMD_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": HOST,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }

    def start(self) -> None:
        self._epmd.start()
        wait_until(lambda: listens(HOST, self.port), 10, "epmd")

    def end(self) -> None:
        self._epmd.kill()


class MachineRabbitMQ(RabbitMQ):
    """One node of the installed RabbitMQ.

    Arguments:
        folder: an empty one for its data, log and configuration.
        erlang: shared by the nodes of a cluster.
        password: of the account ``rmq``. It begins with no hyphen: rabbitmqctl would take it for an option.
        peer: the node whose cluster to join at the first start. Default none.
        tls: the folder of its certificates, for TLS instead of plain AMQP. Default none.
    """

    def __init__(
        self,
        folder: Path,
        erlang: Erlang,
        password: str,
        peer: MachineRabbitMQ | None = None,
        tls: Path | None = None,
    ) -> None:
        self._scripts = scripts()
        self._folder = folder
        self._erlang = erlang
        self.node = f"kchat-{secrets.token_hex(4)}@localhost"
        port, management_port = free_port(HOST), free_port(HOST)
        management_url = f"http://{HOST}:{management_port}"
        super().__init__(HOST, port, "rmq", password, management_url, str(self._scripts), tls)
        self._configure(management_port, peer)
        self._server = Daemon(
            [str(self._scripts / "rabbitmq-server")], folder / "output.log", self._environment()
        )

    def _configure(self, management_port: int, peer: MachineRabbitMQ | None) -> None:
        for name in ("data", "log"):
            (self._folder / name).mkdir(parents=True)
        settings = [
            *self._listeners(),
            f"management.tcp.ip = {HOST}",
            f"management.tcp.port = {management_port}",
            f"default_user = {self.username}",
            f"default_pass = {self.password}",
            "disk_free_limit.absolute = 10MB",
            # The dashboard's figures are this old at most, in milliseconds.
            "collect_statistics_interval = 1000",
        ]
        if peer is not None:
            settings += [
                "cluster_formation.peer_discovery_backend = classic_config",
                f"cluster_formation.classic_config.nodes.1 = {peer.node}",
                f"cluster_formation.classic_config.nodes.2 = {self.node}",
            ]
        (self._folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        plugins = "rabbitmq_management,rabbitmq_shovel,rabbitmq_federation" + (
            ",rabbitmq_auth_mechanism_ssl" if self.tls else ""
        )
        (self._folder / "enabled_plugins").write_text(f"[{plugins}].\n")
        (self._folder / "rabbitmq-env.conf").touch()

    def _listeners(self) -> list[str]:
        if self.tls is None:
            return [f"listeners.tcp.1 = {HOST}:{self.port}"]
        # What the compose file mounts, on this node's port and with the certificates where they are.
        text = (COMPOSE / "rabbitmq-tls.conf").read_text()
        text = text.replace("listeners.ssl.default = 5671", f"listeners.ssl.1 = {HOST}:{self.port}")
        return text.replace("/run/kchat-tls", str(self.tls)).splitlines()

    def _environment(self) -> dict[str, str]:
        # https://www.rabbitmq.com/docs/configure#supported-environment-variables
        return self._erlang.environment() | {
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_DIST_PORT": str(free_port(HOST)),
            # The script then becomes the Erlang machine, instead of starting one beside it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    @property
    def running(self) -> bool:
        return self._server.running

    @property
    def pid(self) -> int:
        """Process id of the Erlang machine, for SIGSTOP and for its memory."""
        return self._server.pid

    def start(self) -> None:
        self._server.start()
        self.wait_until_ready()

    def log_tail(self) -> str:
        logs = [self._folder / "output.log", *sorted((self._folder / "log").glob("*.log"))]
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())

    def stop(self) -> None:
        self._server.signal(signal.SIGTERM)
        self._server.wait(60)

    def kill(self) -> None:
        self._server.kill()
        wait_until(lambda: not listens(HOST, self.port), 10, "the killed node's port to close")

    def ctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._scripts / "rabbitmqctl"), "-q", "-n", self.node, *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def evaluate(self, expression: str) -> None:
        call = shutil.which("erl_call")
        if call is None:
            super().evaluate(expression)
            return
        # What `rabbitmqctl eval` does, without an Erlang machine that takes seconds to start.
        done = subprocess.run(
            [call, "-sname", self.node, "-e"],
            env=self._environment(),
            input=f"{expression}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode or not done.stdout.startswith("{ok,"):
            raise RuntimeError(f"{expression} exit {done.returncode}\n{done.stdout}")


@contextmanager
def cluster(folder: Path, count: int = 1) -> Iterator[list[RabbitMQ]]:
    """Gives a number of running nodes of one cluster; one is a cluster of one.

    Raises:
        NotHere: RabbitMQ is not installed.
    """
    scripts()
    password = secrets.token_hex(12)
    with ExitStack() as stack:
        erlang = Erlang(folder)
        stack.callback(erlang.end)
        erlang.start()
        nodes: list[MachineRabbitMQ] = []
        for number in range(count):
            node = MachineRabbitMQ(folder / f"node{number}", erlang, password, nodes[0] if nodes else None)
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        yield list(nodes)


@contextmanager
def with_tls(folder: Path, tls: Path) -> Iterator[RabbitMQ]:
    """Gives a running node that speaks AMQP with TLS only.

    Arguments:
        folder: an empty one, for data and logs.
        tls: the folder with its certificates.

    Raises:
        NotHere: RabbitMQ is not installed.
    """
    scripts()
    with ExitStack() as stack:
        erlang = Erlang(folder)
        stack.callback(erlang.end)
        erlang.start()
        node = MachineRabbitMQ(folder / "node", erlang, secrets.token_hex(12), tls=tls)
        stack.callback(node.kill)
        node.start()
        yield node
