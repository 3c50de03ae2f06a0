"""A fresh environment beside the one of the tests: a virtual environment that has all that this one has, and more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


class Fresh:
    """A virtual environment; needs no network, no pip and no ensurepip.

    Arguments:
        folder: where it is made; not there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        venv.create(folder / "venv", symlinks=True)
        paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        self.site_packages = Path(sysconfig.get_path("purelib", "venv", paths))
        # By addsitedir, so that what is installed here as editable is there too.
        here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(here)]
        (self.site_packages / "as_here.pth").write_text("".join(lines))

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self._folder / "venv" / "bin" / "python")

    def install(self, source: Path) -> None:
        """Builds a distribution's wheel with setuptools and installs it: a pure wheel is unpacked, no more.

        Arguments:
            source: the folder with its ``pyproject.toml``, which is left as it is.
        """
        work = self._folder / source.name
        shutil.copytree(source, work, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(self._folder)],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(self._folder / done.stdout.split()[-1]) as wheel:
            wheel.extractall(self.site_packages)

    def declare(self, name: str, entry_points: str) -> None:
        """Puts the metadata of a distribution there that has nothing else.

        Arguments:
            name: of the distribution, in its version 1.0.
            entry_points: the text of its ``entry_points.txt``.
        """
        folder = self.site_packages / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(entry_points)

    def pytest(self, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs tests there, and returns the run, ended.

        Arguments:
            arguments: pytest's.
            env: variables besides this process's own.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [self.python, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=Path(__file__).parents[2],
            env={**inherited, **env},
            capture_output=True,
            text=True,
            check=False,
        )
