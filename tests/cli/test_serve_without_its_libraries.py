"""``kchat serve`` where the extra ``web`` is not installed."""

from __future__ import annotations

import pytest

from tests.brokers.processes import Commands

_HIDDEN = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {name!r} else found(name, *rest)
sys.argv = ["kchat", "serve", "--url", {url!r}, "--port", "0"]
from kchat.__main__ import run
run()
"""


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_a_missing_library_names_the_extra(commands: Commands, local_url: str, name: str) -> None:
    process = commands.python(_HIDDEN.format(name=name, url=local_url))
    assert process.wait() == 2
    assert 'pip install "kombu-chat[web]"' in process.stderr
    assert "Traceback" not in process.stderr
