"""The Python examples of a page of the documentation, and running them as they stand.

What a block prints stands in a comment before it, which the page's readers do not see::

    <!-- prints
    ada Hello world
    -->
    ```python

``<!-- prints, and goes on`` is for a loop without an end: it is interrupted when it has printed that. A block without such a
comment has to end without an error. One that cannot be run says why: ``<!-- not run: needs a project of Google's -->``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.brokers.processes import Commands

ROOT = Path(__file__).parents[2]

SECONDS = 60.0
"""How long an example may take."""

_BLOCK = re.compile(
    r"(?:^<!--(?P<comment>[^>]*?)-->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LOOKS_LIKE_PYTHON = re.compile(r"^ *(import |from \w+ import |\w+ = \w+[.(])", re.MULTILINE)


class Example(NamedTuple):
    """A block of a page.

    Attributes:
        where: ``docs/library.md:12``.
        code: its text.
        prints: what it prints; None where that is not said.
        goes_on: whether it has to be interrupted then.
        not_run: why it cannot be run; empty where it can.
    """

    where: str
    code: str
    prints: str | None = None
    goes_on: bool = False
    not_run: str = ""


def examples(page: str) -> list[Example]:
    """The examples of a page, by its path in the repository."""
    text = (ROOT / page).read_text()
    found = []
    for match in _BLOCK.finditer(text):
        where = f"{page}:{text.count(chr(10), 0, match.start('code')) + 1}"
        first, _, rest = (match["comment"] or "").strip().partition("\n")
        if first.startswith("not run:"):
            found.append(Example(where, match["code"], not_run=first.removeprefix("not run:").strip()))
        elif first.startswith("prints"):
            found.append(Example(where, match["code"], rest.strip(), first == "prints, and goes on"))
        else:
            found.append(Example(where, match["code"]))
    return found


def unmarked(page: str) -> list[str]:
    """Lines that look like Python outside of the page's examples, where nothing runs them."""
    return [match[0] for match in _LOOKS_LIKE_PYTHON.finditer(_BLOCK.sub("", (ROOT / page).read_text()))]


def run(
    example: Example, commands: Commands, instead: Mapping[str, str], env: Mapping[str, str] | None = None
) -> None:
    """Run an example in a process, and compare what it prints.

    Arguments:
        example: one that can be run.
        commands: start the process.
        instead: what stands in the page → what the test has in its place, such as URLs.
        env: added to the process' environment.

    Raises:
        AssertionError: it prints something else, raises, or does not end.
    """
    code = example.code
    for there, here in instead.items():
        code = code.replace(there, here)
    process = commands.python(code, env={"PYTHONUNBUFFERED": "1", **(env or {})})
    if example.goes_on:
        assert example.prints
        process.wait_for_lines(example.prints.count("\n") + 1, SECONDS)
        process.interrupt()
        process.wait(SECONDS)
        assert process.stderr.rstrip().endswith("KeyboardInterrupt"), process.stderr
    else:
        assert process.wait(SECONDS) == 0, f"{example.where}\n{process.stderr}"
    if example.prints is not None:
        assert process.stdout.strip() == example.prints, example.where
