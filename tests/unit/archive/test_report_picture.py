"""The report as a picture."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from PIL import Image

from kchat.archive.report import palette, png
from kchat.display.escaping import display_name
from kchat.errors import MissingExtra
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.unit.archive.talk import moment, said, stats_of, talk

NOON = moment("2026-03-01T12:00")


def colors(path: Path) -> Counter[str]:
    """How many pixels have each colour."""
    with Image.open(path) as image:
        assert image.size == (1600, 1280)
        pixels: Any = image.convert("RGB").getcolors(1 << 24)
        return Counter({f"#{red:02x}{green:02x}{blue:02x}": many for many, (red, green, blue) in pixels})


@pytest.mark.parametrize(("days", "a_day"), [(1, 20), (40, 20), (2000, 2)])
def test_the_picture_has_the_charts_in_the_colors_of_the_page(tmp_path: Path, days: int, a_day: int) -> None:
    png(stats_of(talk(days, a_day=a_day)), tmp_path / "report.png")
    found = colors(tmp_path / "report.png")
    assert found.most_common(1)[0][0] == palette.LIGHT["paper"]
    for name in ("accent", "heat-0", "heat-1", "heat-5"):
        assert found[palette.LIGHT[name]] > 100, name


def test_a_picture_of_nothing_says_so_without_charts(tmp_path: Path) -> None:
    png(stats_of([]), tmp_path / "report.png")
    found = colors(tmp_path / "report.png")
    assert found[palette.LIGHT["ink"]] > 100
    assert not found[palette.LIGHT["accent"]]


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    texts = [each[:300] for each in TEXTS.values() if not display_name(each, 18).isascii()]
    names = [*texts, r"$\frac{$", "$x$", "_" * 300, "a\x00b", "\u65e5\u672c\u8a9e"]

    def check(name: str) -> None:
        png(stats_of([said(NOON, name, room=name)]), tmp_path / "report.png")

    # Many in one picture are drawn as each alone would be; those that fail are looked for only then.
    for start in range(0, len(names), 8):
        some = names[start : start + 8]
        records = [said(NOON + number, name, room=some[0]) for number, name in enumerate(some)]
        try:
            png(stats_of(records), tmp_path / "report.png")
        except Exception:
            check_each(some, check)
            raise


def test_the_users_settings_of_matplotlib_stay_and_are_not_used(tmp_path: Path) -> None:
    stats = stats_of([said(NOON)])
    png(stats, tmp_path / "before.png")
    with mpl.rc_context({"figure.dpi": 30, "savefig.facecolor": "red", "text.usetex": True}):
        before = dict(mpl.rcParams)
        png(stats, tmp_path / "report.png")
        assert dict(mpl.rcParams) == before
    assert (tmp_path / "report.png").read_bytes() == (tmp_path / "before.png").read_bytes()


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        png(stats_of([]), tmp_path / "nowhere" / "report.png")


def test_without_matplotlib_the_hint_has_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match="matplotlib") as raised:
        png(stats_of([]), tmp_path / "report.png")
    assert raised.value.hint == 'install it with: pip install "kombu-chat[png]"'
    assert not list(tmp_path.iterdir())


def test_the_page_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules);"
        "from kchat.archive.report import html;"
        "from tests.unit.archive.talk import stats_of, talk; html(stats_of(talk(3)));"
        "used = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "from importlib.metadata import packages_distributions;"
        "print(sorted(used & set(packages_distributions())))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['kchat']"


def test_no_window_is_ever_opened() -> None:
    code = (
        "import sys; from kchat.archive.report import png;"
        "from tests.unit.archive.talk import stats_of;"
        "png(stats_of([]), '/dev/null'); print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
