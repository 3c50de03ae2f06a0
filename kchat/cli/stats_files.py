"""``kchat stats --html`` and ``--png``: files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_STDOUT = "-"


def write_reports(stats: Stats, html: str | None, png: str | None, tell: Callable[[str], object]) -> None:
    """Write the report as a page, as a picture, or both.

    Arguments:
        stats: the figures.
        html: the page's file; ``-`` for standard output. None for no page.
        png: the picture's file, likewise.
        tell: told which files are written.

    Raises:
        kchat.errors.SettingsError: both go to standard output, or a file cannot be made there.
        kchat.errors.MissingExtra: there is no matplotlib for the picture.
        OSError: the disk is full, or nobody reads.
    """
    from kchat.archive import report

    if html == png == _STDOUT:
        raise SettingsError("only one thing can go to standard output")
    if html is not None:
        text = report.html(stats)
        _write(html, lambda path: path.write_text(text, encoding="utf-8"), ".html")
    if png is not None:
        _write(png, lambda path: report.png(stats, path), ".png")
    for name in (html, png):
        if name not in (None, _STDOUT):
            tell(f"{name} written")


def _write(name: str, write: Callable[[Path], object], ending: str) -> None:
    try:
        write_whole(name, write, ending)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise SettingsError(f"{name} cannot be written: {error.strerror or error}") from error


def write_whole(name: str, write: Callable[[Path], object], ending: str) -> None:
    """Write a file under another name beside it, and then give it its own: nobody sees half of it.

    Arguments:
        name: the file; ``-`` for standard output.
        write: writes to a path.
        ending: of that path.
    """
    target = Path(name)
    if name == _STDOUT or (target.exists() and not target.is_file()):  # a pipe, /dev/stdout
        with tempfile.TemporaryDirectory(prefix="kchat-") as folder:
            path = Path(folder) / f"report{ending}"
            write(path)
            with open(
                sys.stdout.fileno() if name == _STDOUT else target, "wb", 0, closefd=name != _STDOUT
            ) as stream:
                rest = memoryview(path.read_bytes())
                while rest:
                    rest = rest[stream.write(rest) :]
        return
    target = target.resolve()  # a link stays one
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}{ending}")
    try:
        write(beside)
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o777)
        os.replace(beside, target)  # noqa: PTH105 - as POSIX calls it
    finally:
        beside.unlink(missing_ok=True)
