"""The OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import http_api
from copilotedge import openapi

NOT_THE_API = {"/", "/assets/<name>", "/config.json", "/openapi.json"}
"""The chat page, its files, and the description itself."""
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, methods in document["paths"].items() for method, entry in methods.items()]


def test_the_description_is_json_and_made_anew_each_time(document):
    assert json.loads(json.dumps(document)) == openapi.document()


def test_every_reference_resolves(document):
    references = [node["$ref"] for node in nodes(document) if "$ref" in node]
    assert references
    for reference in references:
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, dict)


def test_every_route_is_described_and_no_other(document):
    routes = [*http_api.routes._static_routes, *http_api.routes._dynamic_routes]
    served = {
        (re.sub(r"<\w+>", "{conversationId}", r.path), r.method.lower()) for r in routes if r.path not in NOT_THE_API
    }
    assert {(path, method) for path, method, _ in operations(document)} == served


def test_every_operation_tells_what_it_does_and_answers(document):
    for path, method, operation in operations(document):
        assert method in METHODS
        assert operation["summary"], path
        assert all(response["description"] for response in operation["responses"].values()), path


def test_every_name_in_a_path_is_a_parameter(document):
    for path, _, operation in operations(document):
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_only_what_has_a_body_asks_for_one(document):
    for path, method, operation in operations(document):
        assert "requestBody" not in operation or method in ("post", "put"), path


def test_the_chat_request_is_described_with_its_wire_names(document):
    body = document["paths"]["/api/copilotedge"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"messages", "conversationId", "model", "stream", "temperature", "max_tokens"}
