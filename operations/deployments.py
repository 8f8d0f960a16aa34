"""Deploying to AWS and taking down, both with SAM CLI."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from local.errors import LocalStackError
from local.options import from_environment
from local.places import CHECKOUT, SAM_CONFIG
from local.process import run_to_end
from local.sam import EXECUTABLE
from operations.backups import stamp
from operations.errors import OperationError

BUILT = CHECKOUT / ".aws-sam" / "build" / "template.yaml"
LEFT_BEHIND = """What stays, and what to look for:
  backups      made with `make backup`, and DynamoDB's own last one of the table, for 35 days
               aws dynamodb list-backups --backup-type ALL
  restored     tables that `make restore` made: aws dynamodb list-tables
  layers       versions of the packages' layers: aws lambda list-layers
  metrics      of the namespace CopilotEdge expire by themselves, after 15 months at most
  S3           SAM CLI's bucket, aws-sam-cli-managed-default-..., which all its stacks share"""

Run = Callable[[Sequence[str]], int]


def sam(arguments: Sequence[str]) -> int:
    """Runs SAM CLI of this checkout with the caller's AWS credentials; its exit status."""
    command = [str(EXECUTABLE), *arguments, "--config-file", str(SAM_CONFIG)]
    return run_to_end(command, {**os.environ, "SAM_CLI_TELEMETRY": "0"}, sys.stdout)


def deploy(stack: str, region: str, environment: Mapping[str, str], run: Run = sam, template: Path = BUILT) -> str:
    """Deploys what `make build` has built, as a new release, whose name it gives. Raises OperationError.

    Parameters that neither the environment nor ``PARAMS`` names stay as they are, but for the runtime and the
    processor: these are what was built for. They go to SAM CLI in a file: a command line is readable by every user of
    the machine, and one of them is the API token.
    """
    parameters, built = parameters_in(environment), built_for(template)
    for name, value in built.items():
        if parameters.setdefault(name, value) != value:
            raise OperationError(f"{name} is {parameters[name]}, but what is built is for {value}. Build it again.")
    release = parameters.setdefault("Release", stamp())
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "parameters.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(parameters))  # JSON is YAML
        where = ["--template-file", str(template), "--stack-name", stack, "--region", region, "--s3-prefix", stack]
        if run(["deploy", *where, "--parameter-overrides", f"file://{file}"]):
            raise OperationError(
                f"The deployment failed. {stack} is as it was before, or CloudFormation is seeing to it."
            )
    return release


def parameters_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Template parameters that the environment names, as for the local stack. Raises OperationError."""
    try:
        options = from_environment(environment)
    except LocalStackError as error:
        raise OperationError(str(error)) from error
    model = {
        "CloudflareAccountId": options.cloudflare_account_id,
        "CloudflareApiToken": options.cloudflare_api_token,
        "WorkersAiBaseUrl": options.workers_ai_base_url,
    }
    return {name: value for name, value in model.items() if value} | dict(options.parameters)


def built_for(template: Path) -> dict[str, str]:
    """The runtime and the processor that the layers of a built template are for. Raises OperationError without one."""
    try:
        resources = yaml.safe_load(template.read_text())["Resources"]
    except FileNotFoundError as error:
        raise OperationError("Nothing is built yet: `make build`.") from error
    about = resources["VendorLayer"]["Metadata"]
    return {"PythonRuntime": about["BuildMethod"], "Architecture": about["BuildArchitecture"]}


def destroy(stack: str, region: str, confirmed: str, run: Run = sam) -> None:
    """Deletes the stack with its conversations. Raises OperationError unless it was confirmed by name and region."""
    meant = f"{stack}/{region}"
    if confirmed != meant:
        raise OperationError(f"This deletes {stack} and every conversation in it. If you mean it: CONFIRM={meant}")
    if run(["delete", "--stack-name", stack, "--region", region, "--no-prompts"]):
        raise OperationError(f"{stack} could not be deleted.")
