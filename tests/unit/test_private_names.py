"""The names of py-amqp and Kombu that kchat uses or overrides, and that neither documents.

They justify the bounds of ``amqp`` and ``kombu`` in pyproject.toml. Where a release changes one, a test here says which;
the upper bounds are the first minor releases on which the tests have not run yet.
"""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import amqp
import amqp.method_framing
import amqp.serialization
import amqp.spec
import amqp.transport
import kombu
import kombu.transport.pyamqp
import kombu.transport.redis
import pytest

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

TCP, TLS = amqp.transport.TCPTransport, amqp.transport.SSLTransport
CONNECTION, CHANNEL = kombu.transport.pyamqp.Connection, kombu.transport.pyamqp.Channel

#: Methods, with the parameters that kchat passes or takes, in this order.
METHODS: dict[Any, dict[str, tuple[str, ...]]] = {
    TCP: {
        "connect": (),
        "_connect": ("host", "port", "timeout"),
        "_get_tcp_socket_defaults": ("sock",),
        "_setup_transport": (),
        "having_timeout": ("timeout",),
        "read_frame": ("unpack",),
    },
    TLS: {
        "__init__": ("host", "connect_timeout", "ssl"),
        "_setup_transport": (),
        "_shutdown_transport": (),
        "_write": ("s",),
    },
    CONNECTION: {
        "Transport": ("host", "connect_timeout", "ssl", "read_timeout", "write_timeout", "socket_settings"),
        "_on_blocked": (),
        "_on_tune": ("channel_max", "frame_max", "server_heartbeat", "argsig"),
        "blocking_read": ("timeout",),
        "close": ("reply_code", "reply_text", "method_sig", "argsig"),
        "connect": ("callback",),
        "dispatch_method": ("method_sig", "payload", "content"),
        "heartbeat_tick": ("rate",),
        "on_inbound_method": ("channel_id", "method_sig", "payload", "content"),
        "wait": ("method", "callback", "timeout", "returns_tuple"),
    },
    CHANNEL: {
        "_on_basic_deliver": (
            "consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key", "msg",
        ),
        "basic_ack": ("delivery_tag", "multiple"),
        "basic_publish": ("msg", "exchange", "routing_key", "mandatory", "immediate"),
        "dispatch_method": ("method_sig", "payload", "content"),
        "prepare_message": (
            "body", "priority", "content_type", "content_encoding", "headers", "properties",
        ),
        "send_method": ("sig", "format", "args"),
        "wait": ("method", "callback", "timeout", "returns_tuple"),
    },
    amqp.Message: {"_serialize_properties": ()},
    kombu.transport.redis.Channel: {
        "_connparams": ("asynchronous",),
        "_create_client": ("asynchronous",),
        "_get_publish_topic": ("exchange", "routing_key"),
        "_has_queue": ("queue",),
        "_new_queue": ("queue", "auto_delete"),
        "_purge": ("queue",),
        "_put_fanout": ("exchange", "message", "routing_key"),
        "_size": ("queue",),
        "_subscribe": (),
        "get_table": ("exchange",),
    },
    kombu.transport.redis.Transport: {"_deliver": ("message", "queue")},
    kombu.transport.redis.MultiChannelPoller: {"get": ("callback", "timeout")},
    kombu.transport.pyamqp.Transport: {"_collect": ("connection",)},
}  # fmt: skip

#: Functions, likewise.
FUNCTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "decode_properties_basic": (amqp.serialization.decode_properties_basic, ("buf", "offset")),
    "dumps": (amqp.serialization.dumps, ("format", "values")),
    "loads": (amqp.serialization.loads, ("format", "buf", "offset")),
    "frame_handler": (amqp.method_framing.frame_handler, ("connection", "callback")),
    "spec.method": (amqp.spec.method, ("method_sig", "args", "content")),
    "to_host_port": (amqp.transport.to_host_port, ("host",)),
}


def positional(function: Any) -> list[str]:
    names = list(inspect.signature(function).parameters)
    return names[1:] if names[:1] == ["self"] else names


def test_methods_and_functions_take_what_is_passed_to_them() -> None:
    wrong = {}
    of_classes = {
        f"{owner.__module__}.{owner.__name__}.{name}": (getattr(owner, name, None), parameters)
        for owner, methods in METHODS.items()
        for name, parameters in methods.items()
    }
    for name, (function, parameters) in {**of_classes, **FUNCTIONS}.items():
        found = None if function is None else positional(function)
        if found is None or tuple(found[: len(parameters)]) != parameters:
            wrong[name] = found
    assert not wrong


def test_attributes_are_there() -> None:
    transport = TCP("localhost")
    connection = CONNECTION()
    connection.channels = {}
    attributes: dict[Any, tuple[str, ...]] = {
        transport: ("connect_timeout", "connected", "sock", "write_timeout"),
        connection: ("_METHODS", "bytes_recv", "channels", "frame_max", "on_blocked", "prev_recv"),
        CHANNEL(connection, 1): (
            "_ALLOWED_METHODS_WHEN_CLOSING", "_METHODS", "_callbacks", "auto_decode", "events", "is_closing",
        ),
        kombu.Connection("memory://"): ("_connection", "_transport"),
        kombu.transport.redis.MultiChannelPoller(): ("_channels", "_fd_to_chan"),
        kombu.transport.redis.Channel: ("connection_class", "connection_class_ssl", "from_transport_options"),
    }  # fmt: skip
    missing = [
        f"{owner}: {name}"
        for owner, names in attributes.items()
        for name in names
        if not hasattr(owner, name)
    ]
    assert not missing
    assert amqp.spec.Connection.Blocked in CONNECTION._METHODS


@pytest.mark.parametrize("distribution", ["amqp", "kombu"])
def test_the_installed_release_is_within_the_declared_bounds(distribution: str) -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    (requirement,) = [each for each in declared if each.startswith(f"{distribution}>=")]
    lowest, _, highest = requirement.removeprefix(f"{distribution}>=").partition(",<")
    installed, low, high = (
        tuple(map(int, each.split("."))) for each in (version(distribution), lowest, highest)
    )
    assert low <= installed < high
