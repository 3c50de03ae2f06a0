"""``kchat doctor`` as its tests ask it."""

from __future__ import annotations

import json
from typing import Any

from tests.brokers.processes import Commands, Result

PASSWORD = "s3cr3t-of-ada"


class Doctor:
    """Runs the command and reads what it writes."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def __call__(self, *arguments: str, env: dict[str, str] | None = None, seconds: float = 30) -> Any:
        """Returns the findings as JSON."""
        result = self._commands.run_kchat(
            "doctor", "--json", "--connect-timeout", "1.5", *arguments, env=env, seconds=seconds
        )
        return self._read(result)

    def _read(self, result: Result) -> Any:
        assert "Traceback" not in result.stderr, result.stderr
        assert PASSWORD not in result.stdout + result.stderr
        told = json.loads(result.stdout)
        assert result.code == (0 if told["ok"] else 1)
        return told

    def first(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[str, str]:
        """Returns the name of the first step that is wrong, and what is said about it, the advice included."""
        told = self(*arguments, env=env)
        assert not told["ok"], told
        return told["first"]["check"], f"{told['first']['text']} / {told['first']['hint']}"


def by_check(told: Any) -> dict[str, Any]:
    return {finding["check"]: finding for finding in told["findings"]}
