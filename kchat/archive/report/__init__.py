"""The report on a room's figures, to pass on: a page, or a picture.

>>> from kchat import archive
>>> from kchat.archive import report
>>> with archive.open("archive.db") as kept:
...     page = report.html(kept.stats(zone="Europe/Berlin"))

The page is one file: no script, nothing from a network, charts as inline SVG with their numbers in tables under them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

__all__ = ["html", "png"]


def html(stats: Stats) -> str:
    """The report as one HTML page. The same figures give the same page.

    Arguments:
        stats: the figures.

    Returns:
        The page, to be written as UTF-8. All names and words in it are escaped.
    """
    from kchat.archive.report.page import page

    return page(stats)


def png(stats: Stats, path: str | Path) -> None:
    """Write the charts as one picture, 1,600 pixels wide.

    Arguments:
        stats: the figures.
        path: of the PNG file. One that is there is overwritten.

    Raises:
        kchat.errors.MissingExtra: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    from kchat.archive.report.picture import write

    write(stats, Path(path))
