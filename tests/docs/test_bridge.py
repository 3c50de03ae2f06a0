"""docs/bridge.md can be walked as it stands."""

from __future__ import annotations

from tests.docs.walk import Walk


def test_the_page_about_bridges_can_be_walked(walk_without_a_broker: Walk) -> None:
    walk_without_a_broker.go("docs/bridge.md")
