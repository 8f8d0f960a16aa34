from dataclasses import replace
from typing import Any

import pytest

from local.bridges import bridge_authorizers, bridge_cors, bridge_routes, route_key
from local.deployed import Deployed
from local.errors import LocalStackError

ARN = "arn:aws:lambda:us-east-1:000000000000:function:shop-http"
INTEGRATION = {"uri": {"Fn::Sub": "arn:x/functions/${Http.Arn}/invocations"}, "payloadFormatVersion": "2.0"}
SCHEME = {
    "type": "apiKey",
    "x-amazon-apigateway-authorizer": {
        "type": "request",
        "authorizerPayloadFormatVersion": "2.0",
        "authorizerResultTtlInSeconds": 300,
        "enableSimpleResponses": True,
        "identitySource": "$request.header.Authorization",
        "authorizerUri": {"Fn::Sub": "arn:x/functions/${Guard.Arn}/invocations"},
    },
}
GUARDED = {"Fn::If": ["Open", [], [{"Tokens": []}]]}
BODY = {
    "paths": {
        "/health": {"get": {"x-amazon-apigateway-integration": INTEGRATION}},
        "/$default": {
            "x-amazon-apigateway-any-method": {"security": GUARDED, "x-amazon-apigateway-integration": INTEGRATION}
        },
    },
    "components": {"securitySchemes": {"Tokens": SCHEME}},
}
DEPLOYED = Deployed(
    resources={},
    physical_ids={"Http": "shop-http", "Guard": "shop-guard"},
    outputs={},
    conditions={"Open": {"Fn::Equals": [{"Ref": "AuthMode"}, "none"]}},
    parameters={"AuthMode": "jwt"},
)
OPEN = replace(DEPLOYED, parameters={"AuthMode": "none"})


class Gateway:
    """Remembers what an API has, as the `apigatewayv2` client would. Also the Lambda client."""

    def __init__(self) -> None:
        self.routes: list[dict[str, str]] = []
        self.integrations: dict[str, dict[str, str]] = {}
        self.authorizers: dict[str, dict[str, Any]] = {}
        self.cors: dict[str, Any] = {}

    def get_routes(self, ApiId: str) -> dict[str, Any]:  # noqa: N803
        return {"Items": list(self.routes)}

    def create_route(self, ApiId: str, **route: str) -> None:  # noqa: N803
        self.routes.append({"RouteId": f"r{len(self.routes)}", **route})

    def update_route(self, ApiId: str, RouteId: str, **changes: str) -> None:  # noqa: N803
        next(route for route in self.routes if route["RouteId"] == RouteId).update(changes)

    def delete_route(self, ApiId: str, RouteId: str) -> None:  # noqa: N803
        self.routes = [route for route in self.routes if route["RouteId"] != RouteId]

    def create_integration(self, ApiId: str, **integration: str) -> dict[str, str]:  # noqa: N803
        key = f"i{len(self.integrations)}"
        self.integrations[key] = integration
        return {"IntegrationId": key}

    def update_integration(self, ApiId: str, IntegrationId: str, **integration: str) -> None:  # noqa: N803
        self.integrations[IntegrationId] = integration

    def get_authorizers(self, ApiId: str) -> dict[str, Any]:  # noqa: N803
        return {"Items": [{"AuthorizerId": key, **found} for key, found in self.authorizers.items()]}

    def create_authorizer(self, ApiId: str, **authorizer: Any) -> dict[str, str]:  # noqa: N803
        key = f"a{len(self.authorizers)}"
        self.authorizers[key] = authorizer
        return {"AuthorizerId": key}

    def update_authorizer(self, ApiId: str, AuthorizerId: str, **changes: Any) -> None:  # noqa: N803
        self.authorizers[AuthorizerId] |= changes

    def update_api(self, ApiId: str, CorsConfiguration: dict[str, Any]) -> None:  # noqa: N803
        self.cors = CorsConfiguration

    def get_function(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {"Configuration": {"FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FunctionName}"}}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def deploy(gateway: Gateway, body: dict[str, Any] = BODY, deployed: Deployed = DEPLOYED) -> None:
    authorizers = bridge_authorizers(lambda _: gateway, "api", body, deployed)
    bridge_routes(lambda _: gateway, "api", body, deployed, authorizers)


def doors(gateway: Gateway) -> dict[str, tuple[str, str]]:
    """Whom each route asks."""
    return {route["RouteKey"]: (route["AuthorizationType"], route["AuthorizerId"]) for route in gateway.routes}


def test_an_api_gets_the_routes_of_its_body(gateway: Gateway) -> None:
    deploy(gateway)
    targets = [(route["RouteKey"], route["Target"]) for route in gateway.routes]
    assert targets == [("GET /health", "integrations/i0"), ("$default", "integrations/i1")]
    assert gateway.integrations["i0"]["IntegrationUri"] == ARN


def test_a_route_to_an_alias_calls_the_alias(gateway: Gateway) -> None:
    uri = {"Fn::Sub": "arn:x/functions/${Http.Arn}:live/invocations"}
    deploy(gateway, {"paths": {"/": {"get": {"x-amazon-apigateway-integration": INTEGRATION | {"uri": uri}}}}})
    assert gateway.integrations["i0"]["IntegrationUri"] == f"{ARN}:live"


def test_it_gets_the_authorizer_of_its_body(gateway: Gateway) -> None:
    deploy(gateway)
    guard = "arn:aws:lambda:us-east-1:000000000000:function:shop-guard"
    assert gateway.authorizers["a0"] == {
        "Name": "Tokens",
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{guard}/invocations",
        "AuthorizerPayloadFormatVersion": "2.0",
        "AuthorizerResultTtlInSeconds": 300,
        "EnableSimpleResponses": True,
        "IdentitySource": ["$request.header.Authorization"],
    }


def test_exactly_the_routes_with_security_ask_the_authorizer(gateway: Gateway) -> None:
    deploy(gateway)
    assert doors(gateway) == {"GET /health": ("NONE", ""), "$default": ("CUSTOM", "a0")}


def test_another_deployment_may_open_the_doors_and_shut_them_again(gateway: Gateway) -> None:
    deploy(gateway)
    deploy(gateway, deployed=OPEN)
    assert doors(gateway)["$default"] == ("NONE", "")
    deploy(gateway)
    assert doors(gateway)["$default"] == ("CUSTOM", "a0")


def test_bridging_twice_changes_nothing(gateway: Gateway) -> None:
    for _ in range(2):
        deploy(gateway)
    assert (len(gateway.routes), len(gateway.integrations), len(gateway.authorizers)) == (2, 2, 1)


def test_a_route_that_left_the_template_is_deleted(gateway: Gateway) -> None:
    gateway.create_route("api", RouteKey="GET /old", Target="integrations/x")
    deploy(gateway)
    assert "GET /old" not in doors(gateway)


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


def test_an_authorizer_that_the_body_does_not_have_is_refused_rather_than_left_open(gateway: Gateway) -> None:
    with pytest.raises(LocalStackError, match="Tokens"):
        bridge_routes(lambda _: gateway, "api", BODY, DEPLOYED, {})


def test_an_authorizer_that_is_no_function_is_refused(gateway: Gateway) -> None:
    body = {"components": {"securitySchemes": {"Jwt": {"x-amazon-apigateway-authorizer": {"type": "jwt"}}}}}
    with pytest.raises(LocalStackError, match="jwt"):
        bridge_authorizers(lambda _: gateway, "api", body, DEPLOYED)
