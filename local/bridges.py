"""Makes up, after a deployment, for what MiniStack's CloudFormation leaves out. Only through AWS's public APIs.

| MiniStack 1.5.33 ignores | so we |
|---|---|
| the OpenAPI `Body` of an HTTP API, which is what SAM makes of `Events` | create its integrations and routes |
| the CORS settings in it | set them |
| that an authorizer without `IdentitySource` is always asked (it wants an Authorization header) | unset it |
| `TimeToLiveSpecification` of a table | turn on its TTL |
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.errors import LocalStackError

Clients = Callable[[str], Any]  # a boto3 client by the name of its service
FUNCTION_OF_URI = re.compile(r"functions/\$\{(\w+)\.Arn\}/invocations$")
ANY_METHOD = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
CORS = "x-amazon-apigateway-cors"


@dataclass(frozen=True)
class Deployed:
    """A deployed stack: its processed template's resources, their physical ids and its outputs."""

    resources: Mapping[str, Mapping[str, Any]]
    physical_ids: Mapping[str, str]
    outputs: Mapping[str, str]

    def of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Physical id and properties of every resource of a type."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] == kind:
                yield self.physical_ids[logical_id], resource.get("Properties", {})


def bridge(clients: Clients, stack: str) -> Mapping[str, str]:
    """Bridges every gap of the deployed stack; safe to repeat. Gives the stack's outputs."""
    deployed = read(clients("cloudformation"), stack)
    for api_id, properties in deployed.of_type("AWS::ApiGatewayV2::Api"):
        if body := properties.get("Body"):
            bridge_routes(clients, api_id, body, deployed)
            bridge_cors(clients, api_id, body)
    for authorizer_id, properties in deployed.of_type("AWS::ApiGatewayV2::Authorizer"):
        if "IdentitySource" not in properties:
            bridge_authorizer(clients, deployed.physical_ids[properties["ApiId"]["Ref"]], authorizer_id)
    for table, properties in deployed.of_type("AWS::DynamoDB::Table"):
        if ttl := properties.get("TimeToLiveSpecification"):
            bridge_ttl(clients, table, ttl["AttributeName"])
    return deployed.outputs


def read(cloudformation: Any, stack: str) -> Deployed:
    """What CloudFormation knows of the stack. Raises LocalStackError when its deployment did not succeed."""
    description = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    if description["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise LocalStackError(f"Stack {stack} is {description['StackStatus']}: {description.get('StackStatusReason')}")
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return Deployed(
        resources=(json.loads(template) if isinstance(template, str) else template)["Resources"],
        physical_ids={resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
        outputs={output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])},
    )


def bridge_routes(clients: Clients, api_id: str, body: Mapping[str, Any], deployed: Deployed) -> None:
    """Gives the API exactly the routes of its OpenAPI body."""
    gateway = clients("apigatewayv2")
    wanted = dict(routes_of(body))
    existing = {route["RouteKey"]: route for route in gateway.get_routes(ApiId=api_id)["Items"]}
    for key, route in existing.items():
        if key not in wanted:
            gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for key, integration in wanted.items():
        settings = integration_settings(clients("lambda"), integration, deployed)
        if route := existing.get(key):
            integration_id = route["Target"].removeprefix("integrations/")
            gateway.update_integration(ApiId=api_id, IntegrationId=integration_id, **settings)
        else:
            integration_id = gateway.create_integration(ApiId=api_id, **settings)["IntegrationId"]
            gateway.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{integration_id}")


def routes_of(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Route key and integration of every operation. Raises LocalStackError for an authorizer: not bridged yet."""
    for path, operations in body.get("paths", {}).items():
        for method, operation in operations.items():
            if operation.get("security"):
                raise LocalStackError(
                    f"The route {method} {path} has an authorizer, which local/bridges.py does not create"
                )
            yield route_key(path, method), operation[INTEGRATION]


def route_key(path: str, method: str) -> str:
    """API Gateway's name of a route, such as `GET /items` or `$default`."""
    if path in ("$default", "/$default"):
        return "$default"
    return f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"


def integration_settings(functions: Any, integration: Mapping[str, Any], deployed: Deployed) -> dict[str, str]:
    """The integration as the `apigatewayv2` API takes it."""
    uri = integration["uri"]["Fn::Sub"]
    if not (match := FUNCTION_OF_URI.search(uri)):
        raise LocalStackError(f"local/bridges.py does not know the integration {uri}")
    name = deployed.physical_ids[match[1]]
    return {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"],
        "PayloadFormatVersion": integration["payloadFormatVersion"],
    }


def bridge_cors(clients: Clients, api_id: str, body: Mapping[str, Any]) -> None:
    """Sets the CORS configuration of the API's body, if any."""
    if not (cors := body.get(CORS)):
        return
    settings = {name[0].upper() + name[1:]: value for name, value in cors.items()}
    origins = settings.get("AllowOrigins", [])
    if isinstance(origins, str):  # what SAM makes of a CommaDelimitedList parameter
        settings["AllowOrigins"] = [origin.strip() for origin in origins.split(",")]
    clients("apigatewayv2").update_api(ApiId=api_id, CorsConfiguration=settings)


def bridge_authorizer(clients: Clients, api_id: str, authorizer_id: str) -> None:
    """Has the authorizer asked whatever the request carries."""
    clients("apigatewayv2").update_authorizer(ApiId=api_id, AuthorizerId=authorizer_id, IdentitySource=[])


def bridge_ttl(clients: Clients, table: str, attribute: str) -> None:
    """Turns on the table's TTL unless it is on; AWS refuses to turn it on twice."""
    dynamodb = clients("dynamodb")
    status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if status != "ENABLED":
        specification = {"Enabled": True, "AttributeName": attribute}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
