"""Where the contract of the transport ``box`` is tested: ``pytest tests/contract --place box_place:Place``."""

from __future__ import annotations

from typing import ClassVar

from tests.contract.places import local


class Place(local.Place):
    """A file of the test's own."""

    name: ClassVar[str] = "box"
