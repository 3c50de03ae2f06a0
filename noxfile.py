"""`nox` lints, checks types, runs the tests, and tries the wheel. `nox -l` lists what else there is.

The tests run on the oldest supported Python of those on this machine; with `KCHAT_TEST_PYTHONS=both`, as in CI, on the
newest as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
SUPPORTED = [
    kind.rpartition(" ")[2] for kind in PYPROJECT["project"]["classifiers"] if "Python :: 3." in kind
]
RABBITMQ_YML = "compose/rabbitmq.yml"

nox.needs_version = ">=2025.5"


def works(*command: str) -> bool:
    """Returns whether a command is here and succeeds, within ten seconds."""
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def oldest_and_newest() -> list[str]:
    """Returns the versions to test on: at least nox's own, whatever else there is."""
    # Those that pyenv has and that are not switched on in this folder count too.
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(pyenv.glob("3.*/bin")))])
    here = [version for version in SUPPORTED if works(f"python{version}", "-V")] or [
        f"3.{sys.version_info.minor}"
    ]
    return list(dict.fromkeys([here[0], here[-1]]))


PYTHONS = oldest_and_newest()
TESTED = PYTHONS if os.environ.get("KCHAT_TEST_PYTHONS") == "both" else PYTHONS[:1]
nox.options.sessions = ["lint", "types", "wheel", *(f"tests-{version}" for version in TESTED)]


def group(*names: str) -> list[str]:
    """Returns the requirements of dependency groups."""
    return [str(each) for each in nox.project.dependency_groups(PYPROJECT, *names)]


# ---- the default: lint, types, tests, wheel


@nox.session
def lint(session: nox.Session) -> None:
    """Style and mistakes: ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--diff")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Types, strictly: mypy, with the dependencies installed."""
    session.install("--editable", ".[all]", *group("dev"))
    session.run("mypy")


@nox.session(python=SUPPORTED)
def tests(session: nox.Session) -> None:
    """All tests, on real brokers, six at a time; arguments after `--` go to pytest."""
    brokers_of_debian(session)
    session.install("--editable", ".[all]", *group("test"))
    # A test waits for brokers and processes for two thirds of its time, so six keep two cores busy.
    # The tests start a thousand processes, and none of them is to compile kchat again.
    cached = {"PYTHONDONTWRITEBYTECODE": None}
    try:
        session.run("pytest", "--cache-clear", *SIX_AT_A_TIME, *session.posargs, env=cached)
    except CommandFailed as error:
        failed = last_failed()
        # Another exit code is a run that has not come to its end, such as one that was interrupted; -x ends with this one.
        ended = str(error.reason).endswith("code 1") and not session.posargs
        if not (ended and 0 < len(failed) <= MOST_ALONE):
            raise
        # A broker that does not start beside five other tests is the machine's fault; what fails alone, too, is ours.
        session.warn(f"failed beside other tests, and tried again alone: {', '.join(failed)}")
        session.run("pytest", "--last-failed", env=cached)


SIX_AT_A_TIME = ("-n", "6", "--dist", "loadgroup")

MOST_ALONE = 5
"""Maximum number of failed tests that get a second try, alone; more are no accident."""


def last_failed() -> list[str]:
    """Returns the tests that failed in the last run of pytest."""
    kept = ROOT / ".pytest_cache/v/cache/lastfailed"
    return list(json.loads(kept.read_text("utf-8"))) if kept.exists() else []


@nox.session(python=PYTHONS[0])
def wheel(session: nox.Session) -> None:
    """Builds the wheel, installs it alone, and runs the README's first command there."""
    folder = Path(session.create_tmp()).resolve()
    built = build(session, folder)
    session.install(str(built))
    session.run("pip", "check", silent=True)
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    fresh = {name: None for name in os.environ if name.startswith(("KCHAT_", "RABBITMQ_", "XDG_", "PYTHON"))}
    with session.chdir(home):  # where no kchat lies that could be imported in place of the wheel's
        session.run("kchat", "--version")
        first = str(ROOT / "tests/first_command.py")
        session.run("python", first, str(ROOT / "README.md"), env={**fresh, "HOME": str(home)})


def build(session: nox.Session, folder: Path) -> Path:
    """Builds the wheel into a folder and returns its path, having looked inside.

    A module or data file that git knows and the wheel has not got is an error.
    """
    for old in folder.glob("*.whl"):
        old.unlink()
    # setuptools copies through build/, and would put what was deleted since into the wheel.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    (built,) = folder.glob("*.whl")
    known = subprocess.run(
        ["git", "ls-files", "kchat"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    inside = zipfile.ZipFile(built).namelist()
    left_out = sorted(set(known) - set(inside))
    foreign = [name for name in inside if not name.startswith(("kchat/", "kombu_chat-"))]
    if left_out or foreign:
        session.error(f"the wheel lacks {left_out} and has {foreign}")
    return built


# ---- the tests' other ways


@nox.session(python=PYTHONS[0], name="lower-bounds")
def lower_bounds(session: nox.Session) -> None:
    """The tests, on the oldest releases that pyproject.toml promises to work with."""
    project = PYPROJECT["project"]
    promised = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    oldest = [each.replace(">=", "==") for each in promised if ">=" in each]
    session.install("--editable", ".[all]", *oldest, *group("test"))
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[-1])
def coverage(session: nox.Session) -> None:
    """The tests with coverage, the commands' own processes included; a report at the end."""
    session.install("--editable", ".[all]", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS[-1])
def bench(session: nox.Session) -> None:
    """Measures kchat beside its peers; fails where a bar is missed. `-- --before COMMIT` adds an earlier kchat."""
    brokers_of_debian(session)
    session.install(
        f"{build(session, Path(session.create_tmp()))}[archive,chat,clickhouse,pubsub,redis]", *group("bench")
    )
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[-1])
def scale(session: nox.Session) -> None:
    """Measures a broker with 1 to 200 subscribers, and writes docs/scale.md from that; `-- --quick` for a try."""
    brokers_of_debian(session)
    session.install("--editable", ".", *group("bench"))
    session.run("python", "-m", "benchmarks.scale", *session.posargs)


@nox.session(python=PYTHONS[0])
def faults(session: nox.Session) -> None:
    """Breaks brokers, links and processes for real, the slow ways too, with exact limits; prints what was measured."""
    brokers_of_debian(session)
    session.install("--editable", ".[all]", *group("test"))
    # One after the other: the limits of time are those that the documentation promises.
    exact = {"KCHAT_TEST_FAULTS": "all", "KCHAT_TEST_EXACT": "1", "KCHAT_TEST_COLD": "1"}
    session.run(
        "pytest", *(session.posargs or ["tests/faults", "tests/contract/test_programs.py"]), env=exact
    )


@nox.session(python=PYTHONS[0])
def chdb(session: nox.Session) -> None:
    """The archive's SQL on chDB, which is today's ClickHouse in a wheel of 180 MB."""
    session.install("--editable", ".[all]", "chdb-core", *group("test"))
    tests = ["tests/archive/test_chdb.py", "tests/archive/test_same_figures.py"]
    session.run("pytest", *(session.posargs or tests), env={"KCHAT_TEST_CHDB": "1"})


@nox.session(python=PYTHONS[0])
def soak(session: nox.Session) -> None:
    """Ten minutes of messages with a restart of the broker every minute; `-- --minutes 1` for less."""
    brokers_of_debian(session)
    session.install("--editable", ".[all]", *group("test"))
    session.run("python", "-m", "tests.faults.soak", *session.posargs)


@nox.session(python=PYTHONS[0])
def attrition(session: nox.Session) -> None:
    """Kills 500 processes and cuts 300 links, and looks for every confirmed message; `-- --kills 40 --cuts 10` for less."""
    brokers_of_debian(session)
    session.install("--editable", ".[all]", *group("test"))
    session.run("python", "-m", "tests.faults.attrition", *session.posargs)


@nox.session(python=PYTHONS[-1])
def freeze(session: nox.Session) -> None:
    """Writes constraints.txt and docs/licences.md from what an installation with all extras brings."""
    session.install(".[all]")
    session.run("python", "docs/make_licences.py")


@nox.session(python=PYTHONS[-1])
def audit(session: nox.Session) -> None:
    """Looks for known vulnerabilities in what constraints.txt pins; needs an index that knows of them."""
    session.install("pip-audit")
    session.run("pip-audit", "--requirement", "constraints.txt", "--no-deps", *session.posargs)


# ---- brokers


@nox.session(venv_backend="none")
def rabbitmq(session: nox.Session) -> None:
    """RabbitMQ by Docker, waited for until it is healthy; `-- down` takes it away."""
    compose(session, RABBITMQ_YML, *session.posargs)


@nox.session(venv_backend="none")
def redis(session: nox.Session) -> None:
    """Redis by Docker, waited for until it is healthy; `-- down` takes it away."""
    compose(session, "compose/redis.yml", *session.posargs)


@nox.session(venv_backend="none")
def clickhouse(session: nox.Session) -> None:
    """ClickHouse by Docker, waited for until it is healthy; `-- down` takes it away."""
    compose(session, "compose/clickhouse.yml", *session.posargs)


def compose(session: nox.Session, file: str, *arguments: str) -> None:
    """Runs `docker compose` on one of our files: `up` and wait, unless the arguments say otherwise."""
    if not docker_answers():
        session.error("no Docker engine answers: is it installed and running?")
    wanted = list(arguments) or ["up", "--detach", "--wait"]
    environment = {}
    if wanted[0] == "up":
        password = "RABBITMQ_DEFAULT_PASS"
        if file == RABBITMQ_YML and not (os.environ.get(password) or (ROOT / ".env").exists()):
            session.error("no password: `cp .env.example .env`, and set one there")
    elif not (ROOT / ".env").exists():
        environment["RABBITMQ_DEFAULT_PASS"] = "asked for by the file, used by `up` only"
    session.run("docker", "compose", "-f", str(ROOT / file), *wanted, external=True, env=environment)
    if wanted == ["down"]:
        session.log("its data is kept; `-- down --volumes` deletes that too")


def docker_answers() -> bool:
    """Returns whether there is a Docker engine, with Compose."""
    return works("docker", "version") and works("docker", "compose", "version")


def brokers_of_debian(session: nox.Session) -> None:
    """Installs what the tests want and this machine lacks, on a Debian machine with root; else nothing."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    choice = os.environ.get("KCHAT_TEST_BROKERS", "auto")
    by_docker = choice == "docker" or (choice == "auto" and docker_answers())
    packages = {"tmux": "tmux", "amqp-tools": "amqp-publish", "nginx-light": "nginx", "chromium": "chromium"}
    if not by_docker and "KCHAT_TEST_RABBITMQ_URL" not in os.environ:
        packages["rabbitmq-server"] = "rabbitmq-server"
    if not by_docker and "KCHAT_TEST_REDIS_URL" not in os.environ:
        packages["redis-server"] = "redis-server"
    if not by_docker and "KCHAT_TEST_CLICKHOUSE_URL" not in os.environ:
        packages["clickhouse-server"] = "clickhouse-server"
    missing = [package for package, command in packages.items() if shutil.which(command) is None]
    if not missing:
        return
    session.log(f"installing for the tests, by apt-get: {', '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_down():
        session.run("apt-get", "update", "-qq", external=True, silent=True)
        options = ["install", "-qq", "--no-install-recommends"]
        session.run("apt-get", *options, *missing, external=True, silent=True, env=quiet)


@contextlib.contextmanager
def services_stay_down() -> Iterator[None]:
    """Keeps Debian's packages from starting their services: the tests start their own, on free ports."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
