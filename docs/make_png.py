"""Render the pictures of screens that README shows as PNG, with Chromium: they look the same wherever they are shown.

python docs/make_png.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
SCALE = 2


def main() -> int:
    """Each ``docs/pictures/NAME.png`` that README names, from ``NAME.svg``, where there is one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is not installed", file=sys.stderr)
        return 1
    for name in re.findall(r"\(docs/pictures/(\S+)\.png\)", (HERE.parent / "README.md").read_text()):
        svg = PICTURES / f"{name}.svg"
        if not svg.exists():
            continue  # made by make_report_pictures.py
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text())
        assert box is not None, svg
        width, height = (int(float(each) + 0.999) for each in box.groups())
        page = f"<body style='margin:0'><img src='{svg.resolve().as_uri()}' width={width} height={height}>"
        html = PICTURES / f"{name}.html"
        html.write_text(page)
        try:
            subprocess.run(
                [
                    chromium,
                    "--headless",
                    "--no-sandbox",
                    "--hide-scrollbars",
                    "--default-background-color=00000000",
                    f"--force-device-scale-factor={SCALE}",
                    f"--window-size={width},{height}",
                    f"--screenshot={PICTURES / f'{name}.png'}",
                    html.resolve().as_uri(),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            html.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
