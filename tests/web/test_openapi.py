"""The document of the endpoints says what the server does: by its routes, by its answers, and by what schemathesis tries."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from starlette.routing import Route

from kchat.config.settings import Settings
from kchat.web.api import Api
from kchat.web.hub import Hub
from kchat.web.json_body import parse
from kchat.web.openapi import PATH, document, document_route
from kchat.web.options import Limits, ServeOptions
from kchat.web.schemas import EVENTS
from kchat.web.store import GuestStore
from tests.web.serving import ServeThread, browser, guest_browser, serve_thread

ROOM = "tea room/größe"
"""A room's name with what a path has to encode."""
IN_PATH = "tea%20room%2Fgr%C3%B6%C3%9Fe"

LIMITS = replace(Limits(), messages_per_second=10_000.0, burst=10_000)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeThread]:
    folder = tmp_path_factory.mktemp("openapi")
    url = f"local://{folder / 'room.db'}"
    options = ServeOptions([Settings.resolve(url=url)], limits=LIMITS)
    with serve_thread(url, folder / "web.db", ROOM, options=options) as running:
        running.hub.lanes._pool._idle_for = 0.1  # its threads outlive no test; the connection stays
        with guest_browser(running) as page:
            page.post(f"/api/rooms/{IN_PATH}/messages", json={"text": "first"}).raise_for_status()
        yield running


def device_link(served: ServeThread) -> str:
    """One more link of the host's."""
    with GuestStore(served.hub.store.path) as store:
        (host,) = [each for each in store.guests() if each.username == "host"]
        return f"{served.base}/#{store.new_link(host)}"


@pytest.fixture(scope="module")
def token(served: ServeThread) -> str:
    with GuestStore(served.hub.store.path) as store:
        (host,) = [each for each in store.guests() if each.username == "host"]
        return store.new_token(host)


@pytest.fixture
def program(served: ServeThread, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=served.base, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
def described(served: ServeThread) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(served.base + PATH, timeout=60).raise_for_status().json()
    return found


def assert_valid(described: dict[str, Any], name: str, value: Any) -> None:
    """A value has a schema's form, and no key that the schema does not name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(value)
    if isinstance(value, dict):
        assert set(value) <= set(described["components"]["schemas"][name]["properties"]), name


# ---- the document


def test_routes_and_document_name_the_same_operations(tmp_path: Path, local_url: str) -> None:
    hub = Hub(ServeOptions([Settings.resolve(url=local_url)], store=tmp_path / "web.db"))
    try:
        routes: list[Route] = [*Api(hub).routes, document_route(hub.options.limits)]
    finally:
        hub.store.close()
    served = {(each.path_format, method) for each in routes for method in (each.methods or set()) - {"HEAD"}}
    paths = document(Limits())["paths"]
    written = {
        (path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"
    }
    assert served == written


def test_the_document_is_valid_and_uses_every_schema() -> None:
    from schemathesis import openapi  # as below

    found = document(Limits())
    schemas = found["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema_rs.meta.validate(schema)
        assert f'"#/components/schemas/{name}"' in json.dumps(found), name
    operations = [op for item in found["paths"].values() for key, op in item.items() if key != "parameters"]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert openapi.from_dict(found).specification.version == "3.1.0"


def test_the_document_has_the_limits_of_its_server() -> None:
    found = document(replace(Limits(), message_bytes=77, kept=33))
    assert found["components"]["schemas"]["NewMessage"]["properties"]["text"]["maxLength"] == 77
    (last,) = found["paths"]["/api/rooms/{room}/messages"]["get"]["parameters"][:1]
    assert "33" in last["description"]


# ---- real answers


def test_every_answer_has_the_form_that_the_document_gives(
    served: ServeThread, program: httpx.Client, described: dict[str, Any]
) -> None:
    assert_valid(described, "Session", program.get("/api/session").json())
    receipt = program.post(f"/api/rooms/{IN_PATH}/messages", json={"text": "hello", "id": "0123-abcd"})
    assert receipt.status_code == 200
    assert_valid(described, "Receipt", receipt.json())
    with program.stream("GET", f"/api/rooms/{IN_PATH}/events") as events:
        next(line for line in events.iter_lines() if receipt.json()["id"] in line)
    messages = program.get(f"/api/rooms/{IN_PATH}/messages", params={"last": 5}).json()
    assert_valid(described, "Messages", messages)
    for each in messages["messages"]:
        assert_valid(described, "Message", each)
    assert messages["messages"][-1]["text"] == "hello"
    older = program.get(f"/api/rooms/{IN_PATH}/messages", params={"before": messages["first"]}).json()
    assert_valid(described, "Messages", older)
    assert older["messages"] == []
    people = program.get(f"/api/rooms/{IN_PATH}/people").json()
    assert_valid(described, "People", people)
    assert people["room"] == ROOM
    assert_valid(described, "Health", program.get("/healthz").json())
    assert_valid(described, "Error", httpx.get(f"{served.base}/api/session", timeout=60).json())
    with browser(served.base, device_link(served)) as page:
        made = page.post("/api/session/link")
        assert made.status_code == 201
        assert_valid(described, "DeviceLink", made.json())


def test_every_event_has_the_form_that_the_document_gives(
    program: httpx.Client, described: dict[str, Any]
) -> None:
    seen = set()
    with program.stream("GET", "/api/events", headers={"Last-Event-ID": "aaaa.1.1.bbbb"}) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in events.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                seen.add(name)
            elif line.startswith("data: "):
                assert_valid(described, EVENTS[name][0], json.loads(line.removeprefix("data: ")))
                if name == "live":
                    break
    assert {"hello", "live"} <= seen


# ---- what is refused


@pytest.mark.parametrize("body", [
    b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"text":"a","text":"b"}', b'{"text":"a","n":NaN}',
    b'{"text":"a","n":1e999}', b'{"text":"a","n":' + b"9" * 5000 + b"}", b'{"text":"\\ud800"}',
    b'{"\\udfff":1,"text":"a"}', b"[" * 10_000, b'{"text":"a","n":' + b"[" * 99 + b"]" * 99 + b"}",
], ids=lambda body: str(body[:24]))  # fmt: skip
def test_json_that_readers_disagree_on_is_refused(program: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = program.post(f"/api/rooms/{IN_PATH}/messages", content=body, headers=headers)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"{}", b'{"text":5}', b'{"text":" \\n"}',
    b'{"text":"a","id":"short"}', b'{"text":"a","id":7}'])  # fmt: skip
def test_json_of_another_form_is_refused(program: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = program.post(f"/api/rooms/{IN_PATH}/messages", content=body, headers=headers)
    assert answer.status_code == 422


def test_brackets_in_a_text_are_not_levels() -> None:
    assert parse(b'{"text":"' + b"[" * 5000 + b'\\""}') == {"text": "[" * 5000 + '"'}
    assert parse(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


@pytest.mark.parametrize(
    "query",
    ["lsat=5", "last=5&last=6", "last=", "last=-1", "last=1e3", "last=9999999999", "last=%00", "%ff=1"],
)
def test_a_query_parameter_that_is_unknown_or_not_valid_is_refused(program: httpx.Client, query: str) -> None:
    for path in (f"/api/rooms/{IN_PATH}/messages", f"/api/rooms/{IN_PATH}/events", "/api/events"):
        answer = program.get(f"{path}?{query}")
        assert (answer.status_code, "error" in answer.json()) == (422, True), path


def test_health_is_told_to_a_monitor_that_adds_a_query(program: httpx.Client) -> None:
    assert program.get("/healthz?at=1234567890&at=2").json() == {"status": "ok"}


@pytest.mark.parametrize("room", ["nowhere", "%00", "a%2F..%2Fb", "%FF", "%F0%9F%98%80", "x" * 3000, "%25"])
def test_a_room_that_is_not_there_is_not_found(program: httpx.Client, room: str) -> None:
    for end in ("messages", "events"):
        assert program.get(f"/api/rooms/{room}/{end}").status_code == 404


def test_a_room_with_a_slash_is_found_with_the_slash_encoded_or_not(program: httpx.Client) -> None:
    for room in (IN_PATH, IN_PATH.replace("%2F", "/")):
        assert program.get(f"/api/rooms/{room}/messages").status_code == 200


def test_a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has(
    program: httpx.Client, described: dict[str, Any]
) -> None:
    for path, item in described["paths"].items():
        answer = program.request("PATCH", path.replace("{room}", IN_PATH))
        methods = {method.upper() for method in item if method != "parameters"}
        methods |= {"HEAD"} if "GET" in methods else set()
        assert answer.status_code == 405, path
        assert set(answer.headers["allow"].split(", ")) == methods, path


def test_head_answers_as_get_does_without_a_body(program: httpx.Client, described: dict[str, Any]) -> None:
    for path, item in described["paths"].items():
        if "get" in item:
            answer = program.head(path.replace("{room}", IN_PATH))
            assert (answer.status_code, answer.content) == (200, b""), path


# ---- schemathesis

OPEN_ENDED = ("getEvents", "getRoomEvents")
"""Streams: they do not end by themselves."""

EXAMPLES = 500 if os.environ.get("KCHAT_TEST_WEB") == "all" else 25


@pytest.mark.parametrize("valid", [True, False], ids=["valid", "not-valid"])
def test_schemathesis_finds_no_answer_that_the_document_does_not_allow(
    valid: bool, served: ServeThread, token: str, described: dict[str, Any]
) -> None:
    # Here, because every process of a parallel run imports this module, and schemathesis takes a second.
    from schemathesis import GenerationMode, checks, openapi
    from schemathesis.core.result import Ok

    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    there = copy.deepcopy(described)
    # A room that is there, and a token that is valid: without, all that is tried would be 401 and 404.
    for item in there["paths"].values():
        item.pop("parameters", None)
        for operation in item.values():
            operation.pop("security", None)
    there["paths"] = {path.replace("{room}", IN_PATH): item for path, item in there["paths"].items()}
    del there["security"], there["components"]["securitySchemes"]
    checks.load_all_checks()
    held = [
        checks.not_a_server_error,
        checks.CHECKS.get_one("status_code_conformance"),
        checks.CHECKS.get_one("content_type_conformance"),
        checks.CHECKS.get_one("response_schema_conformance"),
        checks.CHECKS.get_one("response_headers_conformance"),
    ]
    if not valid:
        held.append(checks.CHECKS.get_one("negative_data_rejection"))
    tried = set()
    for found in openapi.from_dict(there).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        raw = operation.definition.raw
        if raw["operationId"] in OPEN_ENDED:
            continue
        if not valid and not {"parameters", "requestBody"} & set(raw):
            continue  # nothing of it can be not valid

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            answer = case.call(base_url=served.base, headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=held)
            tried.add((case.operation.definition.raw["operationId"], answer.status_code))

        holds()
    assert ("sendMessage", 200 if valid else 422) in tried
