"""What may be asked of TLS together."""

from __future__ import annotations

from typing import Any

import pytest

from kchat import (
    SettingsError,
)
from kchat.transports.tls import TlsOptions

OTHER_PIN = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    "options",
    [
        {"key": "k.pem"},
        {"pin": "sha256:1234"},
        {"pin": "md5:" + "ab" * 32},
        {"pin": OTHER_PIN, "insecure": True},
        {"ca": "ca.pem", "insecure": True},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        TlsOptions(**options)
