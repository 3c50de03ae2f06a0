"""AMQP's properties and headers as Pub/Sub attributes, and whatever attributes there are as properties and headers."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import ContentTooLarge, PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from kchat.transports.pubsub.messages import (
    MAX_REQUEST,
    MAX_VALUE_BYTES,
    check_size,
    from_attributes,
    to_attributes,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
header_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    [
        "content_type",
        "header.x",
        "google",
        "goog",
        "a;json",
        "routing_key",
        "header.a;json",
        "a;1of2",
        "a;2of2",
    ]
)
long_texts = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.integers(300, 900),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(header_names, json_values | long_texts, max_size=5))
def test_headers_come_back_as_they_were(headers: dict[str, Any]) -> None:
    attributes = to_attributes({}, headers)
    assert all(not key.startswith("goog") for key in attributes)
    assert all(len(text.encode()) <= MAX_VALUE_BYTES for text in attributes.values())
    assert from_attributes(attributes) == ({}, headers)


def test_properties_come_back_as_they_were() -> None:
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "1000",
        "message_id": "m",
        "type": "t",
        "user_id": "u",
        "app_id": "a",
        "cluster_id": "k",
        "delivery_mode": 2,
        "priority": 0,
        "timestamp": 1732380000,
    }
    assert from_attributes(to_attributes(properties, {})) == (properties, {})


def test_unset_and_unknown_attributes_are_left_out() -> None:
    assert to_attributes({"message_id": None, "unheard_of": 1, "content_type": ""}, {}) == {
        "content_type": ""
    }


@given(st.dictionaries(texts | st.sampled_from(["timestamp", "priority", "a;json", "header."]), texts))
def test_no_attributes_are_an_error(attributes: dict[str, str]) -> None:
    properties, headers = from_attributes(attributes)
    assert len(properties) + len(headers) <= len(attributes)
    assert all(
        isinstance(properties.get(name, 0), int) for name in ("timestamp", "priority", "delivery_mode")
    )


def test_an_attribute_nested_without_end_is_text() -> None:
    deep = "[" * 100_000
    assert from_attributes({"a;json": deep}) == ({}, {"a;json": deep})


def test_parts_of_a_header_that_are_not_all_there_stay_as_they_are() -> None:
    alone = {"a;1of2": "x", "b;2of2": "y", "c;1of1000": "z", "d;0of1": "w"}
    assert from_attributes(alone) == ({}, alone)
    assert from_attributes({"a;2of2": "y", "a;1of2": "x"}) == ({}, {"a": "xy"})
    # Somebody else's attribute of the name is not overwritten.
    both = {"a": "whole", "a;1of1": "part"}
    assert from_attributes(both) == ({}, both)


def test_headers_that_fill_more_than_all_attributes_are_refused() -> None:
    assert len(to_attributes({}, {"a": "x" * 1024 * 99})) == 99
    for headers in ({"a": "x" * 1024 * 100}, {"a": "x" * 1024 * 60, "b": ["x" * 1024 * 60]}):
        with pytest.raises(PreconditionFailed, match="100 attributes"):
            to_attributes({}, headers)


def test_the_size_limit_is_that_of_the_whole_request() -> None:
    check_size(MAX_REQUEST - 100, 92)
    with pytest.raises(ContentTooLarge, match=r"10,000,000"):
        check_size(MAX_REQUEST - 100, 93)
