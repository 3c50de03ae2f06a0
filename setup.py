"""What of the metadata depends on where the project is published: the URLs, and the README's links on an index page.

``KCHAT_PROJECT_URL`` names the page of the repository when a release is built, such as ``https://<host>/<owner>/kchat``.
Without it nothing is made up: there are no URLs, and the long description has no pictures and no links into the repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from setuptools import setup

_PICTURE = r"!\[([^]]*)\]\((?!\w+:)([^)]+)\)"
_LINK = r"(?<!!)\[([^]]*)\]\((?!\w+:)([^)]+)\)"


def long_description(readme: str, base: str) -> str:
    """The README for an index page, where no path leads into the repository.

    Arguments:
        readme: its text.
        base: the URL of the repository's page; empty for none.
    """
    if base:
        readme = re.sub(_PICTURE, rf"![\1]({base}/raw/HEAD/\2)", readme)
        return re.sub(_LINK, rf"[\1]({base}/blob/HEAD/\2)", readme)
    readme = re.sub(rf":?\n\n *{_PICTURE}(?=\n)", "", readme)
    return re.sub(_LINK, r"\1", readme)


def project_urls(base: str) -> dict[str, str]:
    """The links beside the description."""
    if not base:
        return {}
    return {
        "Homepage": base,
        "Documentation": f"{base}/tree/HEAD/docs",
        "Changelog": f"{base}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{base}/issues",
    }


if __name__ == "__main__":
    url = os.environ.get("KCHAT_PROJECT_URL", "").rstrip("/")
    setup(
        long_description=long_description(Path("README.md").read_text("utf-8"), url),
        long_description_content_type="text/markdown",
        project_urls=project_urls(url),
    )
