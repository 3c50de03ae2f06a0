"""Docker for the tests: whether an engine answers, and one of our compose files brought up and taken away."""

from __future__ import annotations

import functools
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_docker.plugin import get_docker_services

from tests.brokers.found import NotHere

COMPOSE = Path(__file__).parents[2] / "compose"
"""The project's compose files."""

ANSWER_SECONDS = 10.0
"""How long the engine may take to say that it is there. Without one the client says so at once."""


@functools.cache
def why_not() -> str:
    """Returns why Docker cannot be used here, or nothing where it can. Asked once."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    for question, without in (
        (["docker", "version", "--format", "{{.Server.Version}}"], "no Docker engine answers"),
        (["docker", "compose", "version", "--short"], "docker has no compose plugin"),
    ):
        try:
            subprocess.run(
                question, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=ANSWER_SECONDS
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return without
    return ""


class Compose:
    """A project that is up.

    Arguments:
        files: its compose files.
        project: its name.
        variables: what the files ask for; they come before the same in the environment.
    """

    def __init__(self, files: Sequence[Path], project: str, variables: Mapping[str, str]) -> None:
        self.project = project
        self._files = [argument for file in files for argument in ("-f", str(file))]
        self._environment = {**os.environ, **variables}

    def run(self, *arguments: str, timeout: float = 90.0) -> str:
        """Runs ``docker compose`` on the project and returns what it writes to standard output.

        Raises:
            RuntimeError: it failed; the error has its output.
        """
        done = subprocess.run(
            ["docker", "compose", *self._files, "-p", self.project, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"docker compose {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def running(self, service: str) -> bool:
        """Returns whether the service's container runs."""
        return service in self.run("ps", "--services", "--status", "running").split()


@contextmanager
def compose_up(files: Sequence[Path], name_variable: str, variables: Mapping[str, str]) -> Iterator[Compose]:
    """Brings compose files up under a name of their own, and takes containers and volumes away at the end.

    Arguments:
        files: compose files, the later ones adding to the first.
        name_variable: the variable by which the files take the container's name.
        variables: all others that they ask for.

    Raises:
        NotHere: Docker cannot be used, or an image cannot be found or pulled.
    """
    if reason := why_not():
        raise NotHere(reason)
    project = f"kchat-test-{secrets.token_hex(4)}"
    variables = {**variables, name_variable: project}
    compose = Compose(files, project, variables)
    # pytest-docker runs a shell line and takes no environment. Ours must not get into os.environ: the
    # commands under test read the same variables.
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    # Pulled first, so that a failed `up` is a fault of the compose file, to be seen and not fallen through.
    for image in compose.run("config", "--images").split():
        _get(image)
    try:
        with get_docker_services(
            f"env {settings} docker compose", [str(file) for file in files], project, "up -d", ""
        ):
            yield compose
    finally:
        # Here and not as pytest-docker's clean-up, which is left out where `up` itself fails halfway.
        compose.run("down", "--volumes", "--timeout", "1")


def image_is_here(image: str) -> bool:
    """Returns whether the engine has an image, without asking a registry."""
    here = ["docker", "image", "inspect", image]
    return subprocess.run(here, capture_output=True, check=False).returncode == 0


def _get(image: str) -> None:
    """Pulls an image that is not here yet.

    Raises:
        NotHere: it cannot be had.
    """
    pull = ["docker", "pull", "--quiet", image]
    if image_is_here(image):
        return
    try:
        subprocess.run(pull, capture_output=True, check=True, timeout=600, stdin=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"the image {image} is not here and cannot be pulled") from error
