"""What each function has imported when its first request comes: a cold start pays for every module.

In fresh processes that find nothing but our code, the vendor layer's packages, and what Lambda brings of boto3.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path

import pytest

from bench.cold_start import FUNCTIONS, START, Place, first_call, is_foreign, is_standard, link_brought, modules_of
from bench.stand_ins import StandIns, stand_ins

CHECKOUT = Path(__file__).parent.parent.parent
LAMBDAS = [name for name in FUNCTIONS if name != "stream_api"]

BOTOCORE = {"botocore", "dateutil", "jmespath", "six", "urllib3", "certifi"}
POWERTOOLS = {"aws_lambda_powertools", "jmespath", "typing_extensions"}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
HTTPX = {"anyio", "certifi", "click", "h11", "httpcore", "httpx", "idna", "typing_extensions"}

PACKAGES = {
    "authorizer": BOTOCORE | POWERTOOLS | {"jwt"},
    "janitor": BOTOCORE | POWERTOOLS,
    "websocket_api": BOTOCORE | POWERTOOLS | PYDANTIC,
    "turn_worker": BOTOCORE | POWERTOOLS | HTTPX,
    "http_api": BOTOCORE | POWERTOOLS | PYDANTIC | HTTPX,
    "stream_api": BOTOCORE | POWERTOOLS | PYDANTIC | HTTPX | {"jwt", "starlette", "uvicorn"},
}
"""Third-party. No boto3 and no s3transfer, and of the layers' packages only those that are asked for something."""

EVERYWHERE = "adapters adapters.aws correlation errors identity runtime settings snapshots values"
TOKENS = """
    adapters.secrets_manager adapters.tokens adapters.tokens.claims adapters.tokens.keys adapters.tokens.shared_key
    callers entrance
"""
TABLE = """
    adapters.cloudwatch adapters.dynamodb adapters.dynamodb.attributes adapters.dynamodb.calls
    adapters.dynamodb.changes adapters.dynamodb.items adapters.dynamodb.listings adapters.dynamodb.reading
    adapters.dynamodb.store addresses ids listings models ports transitions transitions.endings transitions.intake
    transitions.leases transitions.lives transitions.steps wiring
"""
TURNS = """
    adapters.api_gateway adapters.dynamodb.usage adapters.lambdas answering broadcast caching charges frames head_start
    holding limits parcels prices prompts questions runs times
"""
MODEL = """
    adapters.secrets_manager adapters.workers_ai adapters.workers_ai.answers adapters.workers_ai.attempts
    adapters.workers_ai.client adapters.workers_ai.endpoints adapters.workers_ai.failures settling speech sse turns
    watching
"""
REQUESTS = "admission callers conversations door histories http_errors json_objects outcomes requests"
CHAT = """
    adapters.dynamodb.cache answer_headers following openai openai.chat_requests openai.chat_shapes replies stateless
    copilotkit copilotkit.graphql_operations
"""
STREAMS = """
    copilotkit.agui_events copilotkit.agui_requests copilotkit.agui_shapes frame_requests openai.item_requests
    openai.item_shapes openai.response_events openai.response_ids openai.response_requests openai.response_shapes
    openai.responses rest_requests sockets users
"""

MODULES = {
    "authorizer": [EVERYWHERE, TOKENS],
    "janitor": [EVERYWHERE, TABLE],
    "websocket_api": [EVERYWHERE, TABLE, TURNS, REQUESTS, "frame_requests sockets"],
    "turn_worker": [EVERYWHERE, TABLE, TURNS, MODEL],
    "http_api": [EVERYWHERE, TABLE, TURNS, MODEL, REQUESTS, CHAT, "rest_shapes"],
    "stream_api": [EVERYWHERE, TABLE, TURNS, MODEL, REQUESTS, CHAT, TOKENS, STREAMS],
}
"""Of ``copilotedge``. The stream API has all routes that stream, for its first request may be any of them."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    packages = tmp_path_factory.mktemp("packages")
    link_brought(packages)
    for line in (CHECKOUT / "layers" / "vendor" / "requirements.txt").read_text().splitlines():
        if "==" in line:
            link(line.partition("==")[0], packages)
    return Place(sys.executable, (str(CHECKOUT / "functions"), str(packages)))


def link(name: str, packages: Path) -> None:
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(found.locate_file(top))))


@pytest.fixture(scope="module")
def others() -> Iterator[StandIns]:
    with stand_ins() as servers:
        yield servers


@pytest.fixture(scope="module")
def loaded(place: Place, others: StandIns) -> Mapping[str, list[str]]:
    return {name: modules_of(name, place, others.environment) for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_loads_these_modules_of_ours_before_its_first_request_and_no_others(loaded, name):
    ours = {module for module in loaded[name] if not is_standard(module) and not is_foreign(module)}
    core = {module.removeprefix("copilotedge.") for module in ours if module.startswith("copilotedge.")}
    assert core == set(" ".join(MODULES[name]).split())
    shells = {module for module in ours if module.partition(".")[0] not in ("copilotedge", "streaming")}
    assert shells == {name, "start"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_loads_only_packages_that_it_needs(loaded, name):
    assert {module.partition(".")[0] for module in loaded[name] if is_foreign(module)} == PACKAGES[name]


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_first_request_has_nothing_left_to_import_but_the_standard_librarys_encodings(place, others, name):
    others.items.clear()
    if name == "turn_worker":
        first_call("websocket_api", place, others)
    *_, late = first_call(name, place, others)
    assert [module for module in late if not is_standard(module)] == []
    assert {module.partition(".")[0] for module in late} <= {"encodings", "stringprep", "unicodedata"}


def test_garbage_is_looked_for_again_once_a_function_has_started(place, others):
    program = (
        f"{START['janitor']}\nimport gc, json; print(json.dumps([gc.isenabled(), gc.get_freeze_count() > 10_000]))"
    )
    assert json.loads(place.run(program, others.environment)) == [True, True]


def test_there_is_no_handler_of_another_name(place, others):
    with pytest.raises(RuntimeError, match="there is no handler wiring"):
        place.run("import start; start.wiring", others.environment)
