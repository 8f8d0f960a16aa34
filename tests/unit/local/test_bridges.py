from typing import Any

import pytest

from local.bridges import Deployed, bridge_cors, bridge_routes, route_key, routes_of
from local.errors import LocalStackError

ARN = "arn:aws:lambda:us-east-1:000000000000:function:shop-http"
INTEGRATION = {"uri": {"Fn::Sub": "arn:x/functions/${Http.Arn}/invocations"}, "payloadFormatVersion": "2.0"}
BODY = {"paths": {"/$default": {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": INTEGRATION}}}}
DEPLOYED = Deployed(resources={}, physical_ids={"Http": "shop-http"}, outputs={})


class Gateway:
    """Remembers what an API has, as the `apigatewayv2` client would. Also the Lambda client."""

    def __init__(self) -> None:
        self.routes: list[dict[str, str]] = []
        self.integrations: dict[str, dict[str, str]] = {}
        self.cors: dict[str, Any] = {}

    def get_routes(self, ApiId: str) -> dict[str, Any]:  # noqa: N803
        return {"Items": list(self.routes)}

    def create_route(self, ApiId: str, **route: str) -> None:  # noqa: N803
        self.routes.append({"RouteId": f"r{len(self.routes)}", **route})

    def delete_route(self, ApiId: str, RouteId: str) -> None:  # noqa: N803
        self.routes = [route for route in self.routes if route["RouteId"] != RouteId]

    def create_integration(self, ApiId: str, **integration: str) -> dict[str, str]:  # noqa: N803
        key = f"i{len(self.integrations)}"
        self.integrations[key] = integration
        return {"IntegrationId": key}

    def update_integration(self, ApiId: str, IntegrationId: str, **integration: str) -> None:  # noqa: N803
        self.integrations[IntegrationId] = integration

    def update_api(self, ApiId: str, CorsConfiguration: dict[str, Any]) -> None:  # noqa: N803
        self.cors = CorsConfiguration

    def get_function(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {"Configuration": {"FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FunctionName}"}}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_an_api_gets_the_routes_of_its_body(gateway: Gateway) -> None:
    bridge_routes(lambda _: gateway, "api", BODY, DEPLOYED)
    assert [(route["RouteKey"], route["Target"]) for route in gateway.routes] == [("$default", "integrations/i0")]
    assert gateway.integrations["i0"]["IntegrationUri"] == ARN


def test_bridging_twice_changes_nothing(gateway: Gateway) -> None:
    for _ in range(2):
        bridge_routes(lambda _: gateway, "api", BODY, DEPLOYED)
    assert (len(gateway.routes), len(gateway.integrations)) == (1, 1)


def test_a_route_that_left_the_template_is_deleted(gateway: Gateway) -> None:
    gateway.create_route("api", RouteKey="GET /old", Target="integrations/x")
    bridge_routes(lambda _: gateway, "api", BODY, DEPLOYED)
    assert [route["RouteKey"] for route in gateway.routes] == ["$default"]


def test_cors_origins_of_a_list_parameter_are_split(gateway: Gateway) -> None:
    body = {"x-amazon-apigateway-cors": {"allowOrigins": "https://a.example, https://b.example", "maxAge": 600}}
    bridge_cors(lambda _: gateway, "api", body)
    assert gateway.cors == {"AllowOrigins": ["https://a.example", "https://b.example"], "MaxAge": 600}


@pytest.mark.parametrize(
    ("path", "method", "key"),
    [
        ("$default", "x-amazon-apigateway-any-method", "$default"),
        ("/items/{id}", "get", "GET /items/{id}"),
        ("/items", "x-amazon-apigateway-any-method", "ANY /items"),
    ],
)
def test_a_route_key_names_method_and_path(path: str, method: str, key: str) -> None:
    assert route_key(path, method) == key


def test_a_route_with_an_authorizer_is_refused_rather_than_left_open() -> None:
    body = {"paths": {"/": {"get": {"security": [{"tokens": []}], "x-amazon-apigateway-integration": INTEGRATION}}}}
    with pytest.raises(LocalStackError, match="authorizer"):
        list(routes_of(body))
