"""``python -m benchmarks.scale.doc``: writes the figures and the chart of ``docs/scale.md`` from what was measured.

What stands between ``<!-- begin: NAME, by benchmarks.scale.doc -->`` and ``<!-- end -->`` is written by a function of that
name in :mod:`benchmarks.scale.figures`. ``tests/docs/test_scale.py`` fails where the page says something else.
"""

from __future__ import annotations

import re
import sys
from hashlib import sha256

from benchmarks.bench import ROOT
from benchmarks.scale.figures import BLOCKS
from benchmarks.scale.points import FILE, Measured, read

PAGE = ROOT / "docs/scale.md"
CHART = ROOT / "docs/pictures/scale.svg"
MARKED = re.compile(r"(<!-- begin: ([\w-]+), by benchmarks\.scale\.doc -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str, measured: Measured) -> str:
    """A page with its marked parts as they are now."""
    return MARKED.sub(lambda found: f"{found[1]}{BLOCKS[found[2]](measured)}\n{found[3]}", text)


def digest() -> str:
    """Of the file of what was measured; it stands in the chart."""
    return f"sha256:{sha256(FILE.read_bytes()).hexdigest()}"


def main() -> int:
    """Write the page and the chart."""
    measured = read()
    PAGE.write_text(page(PAGE.read_text("utf-8"), measured), "utf-8")
    from benchmarks.scale import chart  # Matplotlib, which the page itself does without

    chart.draw(CHART, measured, digest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
