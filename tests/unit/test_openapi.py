"""The OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import http_api
from copilotedge import http_errors, openapi
from copilotedge.addresses import address_of
from copilotedge.errors import InvalidRequest
from copilotedge.settings import Settings

SETTINGS = Settings(max_history_page=70)
PUBLIC = {("/", "get"), ("/health", "get"), ("/openapi.json", "get")}
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(SETTINGS)


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, methods in document["paths"].items() for method, entry in methods.items()]


def test_the_description_is_json_and_made_anew_each_time(document):
    assert json.loads(json.dumps(document)) == openapi.document(SETTINGS)


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
    served = {(re.sub(r"<\w+>", "{conversationId}", route.path), route.method.lower()) for route in routes}
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
        assert "requestBody" not in operation or method in ("post", "put", "patch"), path


def test_the_chat_request_is_described_with_its_wire_names(document):
    body = document["paths"]["/api/copilotedge"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert {"messages", "conversationId", "model", "stream", "temperature", "max_tokens"} <= set(properties)
    assert not {"conversation_id", "maxTokens"} & set(properties)


def test_only_the_public_routes_are_open(document):
    assert document["security"] == [{"bearer": []}]
    opened = {(path, method) for path, method, operation in operations(document) if operation.get("security") == []}
    assert opened == PUBLIC == {(path, method.lower()) for method, path in http_api.PUBLIC}


def test_without_authentication_no_route_asks_for_a_token():
    assert "security" not in openapi.document(Settings(auth_mode="none"))


def test_whoever_needs_a_token_is_told_when_it_is_refused(document):
    for path, method, operation in operations(document):
        if (path, method) not in PUBLIC:
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], path


def test_every_limit_tells_when_to_come_back(document):
    refusals = [entry["responses"]["429"] for _, _, entry in operations(document) if "429" in entry["responses"]]
    assert refusals
    for refusal in refusals:
        assert {"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"} <= refusal["headers"].keys()


def test_every_error_that_has_a_status_of_its_own_is_described(document):
    described = {status for _, _, operation in operations(document) for status in operation["responses"]}
    ours = {status for _, status in http_errors._STATUSES if status < 500}
    assert {str(status) for status in ours} - {"405"} <= described  # 405 is for routes that do not exist


def test_a_page_is_no_longer_than_the_operator_allows(document):
    for path in ("/conversations", "/conversation/{conversationId}/messages"):
        [limit] = [p for p in document["paths"][path]["get"]["parameters"] if p["name"] == "limit"]
        assert limit["schema"]["maximum"] == 70


@pytest.mark.parametrize(
    ("conversation_id", "is_one"), [("c-1", True), ("auth0|7~c", True), ("~c", False), ("a b", False), ("a/b", False)]
)
def test_the_pattern_of_conversation_ids_is_the_one_that_is_checked(document, conversation_id, is_one):
    [parameter] = document["paths"]["/conversation/{conversationId}/state"]["get"]["parameters"]
    assert bool(re.search(parameter["schema"]["pattern"], conversation_id)) == is_one
    if is_one:
        assert address_of("me", conversation_id)
        return
    with pytest.raises(InvalidRequest):
        address_of("me", conversation_id)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/", ("GET",)),
        ("/conversation/c1", ("DELETE", "PATCH")),
        ("/conversation/c1/messages", ("GET", "POST")),
        ("/conversation/", ()),
        ("/conversation/c1/nothing", ()),
        ("/conversation/c1/messages/", ()),
    ],
)
def test_the_methods_of_a_path_are_known(path, methods):
    assert openapi.methods_of(path, SETTINGS) == methods
