"""An earlier kchat beside this one: an environment of its own, with the same versions of everything else."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench import ROOT


class NotInstalled(Exception):
    """The earlier kchat cannot be installed: there is no such commit, or pip failed."""


class Earlier(NamedTuple):
    """An earlier kchat, installed.

    Attributes:
        commit: what was asked for.
        python: the path of the interpreter that has it.
    """

    commit: str
    python: str


def install(commit: str, folder: Path) -> Earlier:
    """Install the kchat of a commit.

    Arguments:
        commit: a commit, tag or branch of this repository.
        folder: an empty folder, for its files and its environment.

    Raises:
        NotInstalled: git or pip failed.
    """
    source, environment = folder / "source", folder / "environment"
    python = str(environment / "bin/python")
    source.mkdir(parents=True)
    _run("git", "-C", str(ROOT), "archive", f"--output={folder}/source.tar", commit)
    _run("tar", "-xf", f"{folder}/source.tar", "-C", str(source))
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in _installed()))
    options = ["--quiet", "--disable-pip-version-check", "--constraint", str(constraints)]
    _run(sys.executable, "-m", "pip", "--python", python, "install", *options, f"{source}[chat,pubsub]")
    return Earlier(commit, python)


def _installed() -> list[tuple[str, str]]:
    """Names and versions of what is installed here, apart from kchat, under both of its names."""
    found = {each.metadata["Name"]: each.version for each in distributions()}
    return sorted((name, version) for name, version in found.items() if name not in {"kchat", "kombu-chat"})


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command[:4])} ...: {done.stderr.strip()[-500:]}")
