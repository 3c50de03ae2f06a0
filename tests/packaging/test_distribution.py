"""What a release holds: the source distribution has what its README names, and the metadata has no link into nowhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("sdist")  # which is built once

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
BUILD = "from setuptools import build_meta; build_meta.build_sdist('dist')"


def build(folder: Path, url: str = "") -> tarfile.TarFile:
    """The source distribution, built from a copy, in which nothing is left of earlier builds."""
    copy = folder / "copy"
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT, symlinks=True)
        shutil.copy(ROOT / ".env.example", copy)
        shutil.copytree(ROOT / ".ci", copy / ".ci")
        (copy / ".env").write_text("RABBITMQ_DEFAULT_PASS=secret\n")
        (copy / "compose" / ".env").symlink_to("../.env")
    shutil.rmtree(copy / "dist", ignore_errors=True)
    environment = {"PATH": os.environ["PATH"], "KCHAT_PROJECT_URL": url}
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, env=environment, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.tar.gz")
    return tarfile.open(built)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    return build(tmp_path_factory.mktemp("sdist"))


def names(sdist: tarfile.TarFile) -> set[str]:
    """The paths in it, without the folder that all are in."""
    return {name.partition("/")[2] for name in sdist.getnames()}


def description(sdist: tarfile.TarFile) -> tuple[list[str], str]:
    """The project URLs, and the long description."""
    (member,) = (each for each in sdist.getmembers() if re.fullmatch(r"[^/]+/PKG-INFO", each.name))
    file = sdist.extractfile(member)
    assert file is not None
    metadata = message_from_bytes(file.read())
    text = metadata.get_payload(decode=True)
    assert isinstance(text, bytes)
    return metadata.get_all("Project-URL", []), text.decode()


def test_the_source_distribution_has_what_the_readme_and_contributing_name(sdist: tarfile.TarFile) -> None:
    there = names(sdist)
    text = (ROOT / "README.md").read_text("utf-8") + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"\]\((?!\w+:)([^)#]+)", text)) | set(
        re.findall(r"(?:cp|compose -f|/\") ([\w./]+)", text)
    )
    named |= {match for match in re.findall(r"`([\w./-]+)`", text) if (ROOT / match).is_file()}
    assert {".env.example", "compose/rabbitmq.yml", "docs/wire.md", "docs/pictures/table.png"} <= named
    assert named <= there
    assert {
        "tests/conftest.py",
        "tests/unit/test_text.py",
        "noxfile.py",
        ".ci/run",
        "kchat/py.typed",
    } <= there


def test_the_source_distribution_has_no_secrets_and_nothing_compiled(sdist: tarfile.TarFile) -> None:
    assert not [name for name in names(sdist) if name.endswith((".pyc", "/.env")) or name == ".env"]


def test_without_a_known_address_the_description_leads_nowhere_that_is_not_there(
    sdist: tarfile.TarFile,
) -> None:
    urls, text = description(sdist)
    assert urls == []
    assert "# kchat" in text
    assert "[what is on the wire]" not in text
    assert "what is on the wire" in text
    assert not re.search(r"\]\((?!https?://)", text)


def test_with_a_known_address_pictures_and_links_are_absolute(tmp_path: Path) -> None:
    base = "https://git.example/ada/kchat"
    urls, text = description(build(tmp_path, f"{base}/"))
    assert f"Homepage, {base}" in urls
    assert {url.partition(", ")[0] for url in urls} == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert f"![A room as a live table]({base}/raw/HEAD/docs/pictures/table.png)" in text
    assert f"[what is on the wire]({base}/blob/HEAD/docs/wire.md)" in text
    assert not re.search(r"\]\((?!https?://)", text)
