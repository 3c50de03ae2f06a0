"""Write ``constraints.txt`` and ``docs/licences.md`` from what is installed: kchat with all its extras, and nothing else.

nox -s freeze
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = {"kombu-chat", "pip", "setuptools", "wheel"}


def licence(found: Distribution) -> str:
    """Its licence in a few words: the SPDX expression, else the classifier, else the first line of the text."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    if classifiers:
        return ", ".join(each.rpartition(":: ")[2] for each in classifiers)
    return (metadata.get("License") or "see its files").splitlines()[0]


def main() -> None:
    """Write both files."""
    found = {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each for each in distributions()}
    names = sorted(found.keys() - TOOLS)
    pins = "".join(f"{name}=={found[name].version}\n" for name in names)
    (ROOT / "constraints.txt").write_text(
        "# What kchat with all its extras was last tested with: pip install -c constraints.txt 'kombu-chat[all]'\n"
        "# Written by: nox -s freeze\n" + pins
    )
    rows = "".join(f"| {name} | {found[name].version} | {licence(found[name])} |\n" for name in names)
    (ROOT / "docs/licences.md").write_text(
        "# Licences\n\nkchat is under the [MIT licence](../LICENSE). It ships nobody else's code; these are the packages\n"
        "that it and its extras bring along when they are installed. Written by `nox -s freeze`.\n\n"
        "| package | version | licence |\n|---|---|---|\n" + rows
    )


if __name__ == "__main__":
    main()
