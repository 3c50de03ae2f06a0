"""Make the pictures of `kchat stats --html` and `--png`: the real command on an archive of an invented room, and Chromium.

python docs/make_report_pictures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from kchat.archive.opening import open_store  # noqa: E402 - needs the line above
from tests.brokers.chromium import Page, find_chromium  # noqa: E402
from tests.unit.archive.talk import talk  # noqa: E402

PICTURES = ROOT / "docs/pictures"
VIEWS = (
    ("report-light", (1200, 1000), False, 1, "h1"),
    ("report-dark", (1200, 1000), True, 1, "#people"),
    ("report-phone", (390, 844), False, 2, "h1"),
    ("report-phone-dark", (390, 844), True, 2, "#week"),
)
"""Name of the picture, size of the window, whether dark, pixels per CSS pixel, and what is at its top."""


def main() -> int:
    """All of them."""
    chromium = find_chromium()
    if chromium is None:
        print("Chromium is not installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        archive, page = Path(folder) / "archive.db", Path(folder) / "report.html"
        with open_store(archive, write=True) as store:
            store.write(talk(120, first="2026-01-05", a_day=90))
        picture = PICTURES / "report.png"
        options = ["--archive", str(archive), "--room", "chat", "--timezone", "Europe/Berlin", "--quiet"]
        subprocess.run(
            [sys.executable, "-m", "kchat", "stats", *options, "--html", str(page), "--png", str(picture)],
            check=True,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        with Page(chromium, Path(folder) / "profile") as browser:
            browser.open(page.as_uri())
            browser.wait_for("document.readyState === 'complete' && document.querySelector('h1') !== null")
            for name, size, dark, scale, at in VIEWS:
                browser.look_at(*size, dark=dark, scale=scale, bars=False)
                browser.run(f"document.querySelector('{at}').closest('header, section').scrollIntoView()")
                browser.picture(PICTURES / f"{name}.png")
    small = shutil.which("optipng")
    if small:
        subprocess.run([small, "-quiet", *PICTURES.glob("report*.png")], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
