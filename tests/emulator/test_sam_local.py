"""What ``sam local invoke`` hands to a function, as ``events/README.md`` tells to call it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jmespath
import pytest
import yaml

from local.host import aws_environment, clean_environment
from local.places import CHECKOUT, TEMPLATE, TOOLS
from tests.emulator.functions import BUILT, EmulatedFunctions, live
from tests.emulator.payloads import EVENTS, FILES, function_of
from tests.stack import DeployedStack

FILE = CHECKOUT / "environment.json"
README = EVENTS / "README.md"
QUERY = "{Parameters: Environment.Variables}"
COMMAND = re.compile(r"sam local invoke (\w+) +-e events/([\w-]+)\.json +-n \.local/environment\.json")
REFERENCE = re.compile(r"\$\{([\w:]+)\}")
KNOWN = {"AWS::Partition", "AWS::Region", "AWS::URLSuffix"}
"""To ``sam local`` too, as the parameters' defaults are. It makes up resources, and the name of the stack."""


def handed_over(file: Path) -> dict[str, Any]:
    """Handler and environment of each function, by its logical id."""
    command = [TOOLS / "sam" / "bin" / "python", Path(__file__).parent / "sam_local.py", TEMPLATE, file]
    environment = clean_environment() | aws_environment("http://127.0.0.1:1")
    run = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


class Loader(yaml.SafeLoader):
    """Reads ``!Sub`` and the like as what is behind the tag, ``!Ref Table`` as ``${Table}``."""


def untagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return f"${{{node.value}}}" if tag == "Ref" else node.value
    return [loader.construct_object(child, deep=True) for child in node.value]


Loader.add_multi_constructor("!", untagged)


def test_every_name_in_the_file_reaches_the_functions():
    given = json.loads(FILE.read_text())["Parameters"]
    handed = handed_over(FILE)
    for function in BUILT.values():
        assert handed[function]["environment"].items() >= given.items()


def test_the_file_has_every_variable_that_only_a_deployed_stack_knows():
    template = yaml.load(TEMPLATE.read_text(), Loader)
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    known = KNOWN | template["Parameters"].keys()
    unknown = {name for name, value in variables.items() if set(REFERENCE.findall(str(value))) - known}
    assert {"TABLE_NAME", "TOKEN_ISSUER"} <= unknown
    assert unknown - json.loads(FILE.read_text())["Parameters"].keys() == set()


def test_the_file_that_a_deployed_stack_gives_makes_it_the_deployed_environment(stack: DeployedStack, tmp_path: Path):
    assert f"--query '{QUERY}'" in README.read_text()
    deployed = {function: live(stack, function) for function in BUILT}
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(jmespath.search(QUERY, deployed["http-api"])))
    handed = handed_over(file)
    for function, configuration in deployed.items():
        assert handed[BUILT[function]]["environment"].items() >= configuration["Environment"]["Variables"].items()


def test_every_payload_has_its_command():
    commands = COMMAND.findall(README.read_text())
    assert sorted(commands) == sorted((BUILT[function_of(file.stem)], file.stem) for file in FILES)


@pytest.mark.parametrize("event", ["http-page", "http-openapi"])
def test_what_asks_nothing_of_aws_needs_no_other_file(functions: EmulatedFunctions, event: str):
    function = functions.start("http-api", handed_over(FILE)["HttpFunction"]["environment"])
    answer = function.invoke(json.loads((EVENTS / f"{event}.json").read_text()))
    assert answer["statusCode"] == 200
