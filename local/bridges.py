"""Makes up, after a deployment, for what MiniStack's CloudFormation leaves out. Only through AWS's public APIs.

| MiniStack 1.5.33 ignores | so we |
|---|---|
| the OpenAPI `Body` of an HTTP API | create its integrations, its authorizers, and its routes with the ones they ask |
| the CORS settings in it | set them |
| that an authorizer without `IdentitySource` is always asked (it wants an Authorization header) | unset it |
| `TimeToLiveSpecification` of a table | turn on its TTL |
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.deployed import Deployed, read
from local.errors import LocalStackError
from local.host import REGION

Clients = Callable[[str], Any]  # a boto3 client by the name of its service
Operation = Mapping[str, Any]
FUNCTION_OF_URI = re.compile(r"functions/\$\{(\w+)\.Arn\}((?::\w+)?)/invocations$")
ANY_METHOD = "x-amazon-apigateway-any-method"
AUTHORIZER = "x-amazon-apigateway-authorizer"
INTEGRATION = "x-amazon-apigateway-integration"
CORS = "x-amazon-apigateway-cors"


def bridge(clients: Clients, stack: str) -> Mapping[str, str]:
    """Bridges every gap of the deployed stack; safe to repeat. Gives the stack's outputs."""
    deployed = read(clients("cloudformation"), stack)
    for api_id, properties in deployed.of_type("AWS::ApiGatewayV2::Api"):
        if body := properties.get("Body"):
            authorizers = bridge_authorizers(clients, api_id, body, deployed)
            bridge_routes(clients, api_id, body, deployed, authorizers)
            bridge_cors(clients, api_id, body)
    for authorizer_id, properties in deployed.of_type("AWS::ApiGatewayV2::Authorizer"):
        if "IdentitySource" not in properties:
            bridge_identity_source(clients, deployed.physical_ids[properties["ApiId"]["Ref"]], authorizer_id)
    for table, properties in deployed.of_type("AWS::DynamoDB::Table"):
        if ttl := properties.get("TimeToLiveSpecification"):
            bridge_ttl(clients, table, ttl["AttributeName"])
    return deployed.outputs


def bridge_authorizers(clients: Clients, api_id: str, body: Mapping[str, Any], deployed: Deployed) -> dict[str, str]:
    """Gives the API the Lambda authorizers of its OpenAPI body. Their ids by their names."""
    gateway = clients("apigatewayv2")
    ids = {found["Name"]: found["AuthorizerId"] for found in gateway.get_authorizers(ApiId=api_id)["Items"]}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        settings = authorizer_settings(clients("lambda"), scheme[AUTHORIZER], deployed)
        if name in ids:
            gateway.update_authorizer(ApiId=api_id, AuthorizerId=ids[name], **settings)
        else:
            created = gateway.create_authorizer(ApiId=api_id, Name=name, AuthorizerType="REQUEST", **settings)
            ids[name] = created["AuthorizerId"]
    return ids


def authorizer_settings(functions: Any, authorizer: Mapping[str, Any], deployed: Deployed) -> dict[str, Any]:
    """The authorizer as the `apigatewayv2` API takes it."""
    if authorizer["type"] != "request":
        raise LocalStackError(f"local/bridges.py creates Lambda authorizers, not one of type {authorizer['type']}")
    arn = function_arn(functions, authorizer["authorizerUri"], deployed)
    return {
        "AuthorizerUri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations",
        "AuthorizerPayloadFormatVersion": authorizer["authorizerPayloadFormatVersion"],
        "AuthorizerResultTtlInSeconds": authorizer["authorizerResultTtlInSeconds"],
        "EnableSimpleResponses": authorizer["enableSimpleResponses"],
        "IdentitySource": [source.strip() for source in authorizer["identitySource"].split(",")],
    }


def bridge_routes(
    clients: Clients, api_id: str, body: Mapping[str, Any], deployed: Deployed, authorizers: Mapping[str, str]
) -> None:
    """Gives the API exactly the routes of its OpenAPI body, each with the authorizer it asks, or with none."""
    gateway = clients("apigatewayv2")
    wanted = dict(routes_of(body))
    existing = {route["RouteKey"]: route for route in gateway.get_routes(ApiId=api_id)["Items"]}
    for key, route in existing.items():
        if key not in wanted:
            gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for key, operation in wanted.items():
        integration = integration_settings(clients("lambda"), operation[INTEGRATION], deployed)
        authorization = authorization_of(operation, deployed, authorizers)
        if route := existing.get(key):
            integration_id = route["Target"].removeprefix("integrations/")
            gateway.update_integration(ApiId=api_id, IntegrationId=integration_id, **integration)
            gateway.update_route(ApiId=api_id, RouteId=route["RouteId"], **authorization)
        else:
            integration_id = gateway.create_integration(ApiId=api_id, **integration)["IntegrationId"]
            target = f"integrations/{integration_id}"
            gateway.create_route(ApiId=api_id, RouteKey=key, Target=target, **authorization)


def authorization_of(operation: Operation, deployed: Deployed, authorizers: Mapping[str, str]) -> dict[str, str]:
    """Whom the route asks. Raises LocalStackError for an authorizer that the body does not have: never left open."""
    schemes = [name for requirement in deployed.resolved(operation.get("security")) or [] for name in requirement]
    if not schemes:
        return {"AuthorizationType": "NONE", "AuthorizerId": ""}
    if len(schemes) > 1 or schemes[0] not in authorizers:
        raise LocalStackError(f"local/bridges.py knows no authorizer {', '.join(schemes)}")
    return {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[schemes[0]]}


def routes_of(body: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    """Every operation with its route key."""
    for path, operations in body.get("paths", {}).items():
        for method, operation in operations.items():
            yield route_key(path, method), operation


def route_key(path: str, method: str) -> str:
    """API Gateway's name of a route, such as `GET /items` or `$default`."""
    if path in ("$default", "/$default"):
        return "$default"
    return f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"


def integration_settings(functions: Any, integration: Mapping[str, Any], deployed: Deployed) -> dict[str, str]:
    """The integration as the `apigatewayv2` API takes it."""
    return {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": function_arn(functions, integration["uri"], deployed),
        "PayloadFormatVersion": integration["payloadFormatVersion"],
    }


def function_arn(functions: Any, uri: Mapping[str, str], deployed: Deployed) -> str:
    """Of the function, or of its alias, that an integration or an authorizer calls."""
    if not (match := FUNCTION_OF_URI.search(uri["Fn::Sub"])):
        raise LocalStackError(f"local/bridges.py does not know the function of {uri['Fn::Sub']}")
    name = deployed.physical_ids[match[1]]
    arn: str = functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    return arn + match[2]


def bridge_cors(clients: Clients, api_id: str, body: Mapping[str, Any]) -> None:
    """Sets the CORS configuration of the API's body, if any."""
    if not (cors := body.get(CORS)):
        return
    settings = {name[0].upper() + name[1:]: value for name, value in cors.items()}
    origins = settings.get("AllowOrigins", [])
    if isinstance(origins, str):  # what SAM makes of a CommaDelimitedList parameter
        settings["AllowOrigins"] = [origin.strip() for origin in origins.split(",")]
    clients("apigatewayv2").update_api(ApiId=api_id, CorsConfiguration=settings)


def bridge_identity_source(clients: Clients, api_id: str, authorizer_id: str) -> None:
    """Has the authorizer asked whatever the request carries."""
    clients("apigatewayv2").update_authorizer(ApiId=api_id, AuthorizerId=authorizer_id, IdentitySource=[])


def bridge_ttl(clients: Clients, table: str, attribute: str) -> None:
    """Turns on the table's TTL unless it is on; AWS refuses to turn it on twice."""
    dynamodb = clients("dynamodb")
    status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if status != "ENABLED":
        specification = {"Enabled": True, "AttributeName": attribute}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
