"""docs/history.md can be walked as it stands: what its commands print on a RabbitMQ is what the page says."""

from __future__ import annotations

from tests.docs.walk import Walk


def test_the_page_of_the_history_can_be_walked_from_its_beginning_to_its_end(walk: Walk) -> None:
    walk.go("docs/history.md")
    assert [where.partition(": ")[2] for where in walk.left_out] in ([], ["needs jq", "needs jq"])
