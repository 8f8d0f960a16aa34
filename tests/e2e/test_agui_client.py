"""AG-UI's own client, as npm has it, on the deployed stack: what the page of CopilotKit does, without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import node
from tests.clients import new_conversation
from tests.scripted_model import Call, Reply
from tests.stack import DeployedStack

SOURCE = Path(__file__).parent / "agui_client"
RED = Call("setColor", '{"color": "tomato"}')


@pytest.fixture(scope="session")
def packages() -> Path:
    return node.packages_of(SOURCE)


@pytest.mark.parametrize("client", ["@ag-ui/client", "@ag-ui/client-0-0-59"])
def test_the_same_script_passes_with_both_versions(stack: DeployedStack, packages: Path, client: str):
    stack.model.when_asked("Which color?", Reply(calls=[RED]))
    stack.model.when_asked("Tell me a story", Reply(chunks=["Once upon "] + ["a time "] * 300, delay_between=0.1))
    runtime, thread = f"{stack.stream_url}/api/copilotedge", new_conversation("agui")
    steps = steps_of(node.run(SOURCE / "script.mjs", packages, client, runtime, thread, stack.token()))
    assert steps["streamed"]["pieces"] > 1
    assert texts(steps["streamed"]) == texts(steps["repeated"]) == ["Hello", "You said: Hello"]
    assert (steps["called"]["name"], steps["called"]["color"]) == ("setColor", "tomato")
    assert texts(steps["called"])[-2:] == ["The page is tomato now.", "You said: Which color?"]
    assert steps["stopped"]["types"][-1] == "RUN_FINISHED" and steps["stopped"]["answer"]["stopped"]
    assert steps["reopened"]["messages"] == steps["stopped"]["messages"]
    assert steps["refused"]["failure"] == "unsupported_content"
    assert log_of(stack, thread) == texts(steps["stopped"])


def test_copilotkits_graphql_client_reads_the_mutations_answer(stack: DeployedStack, packages: Path):
    for url in (f"{stack.http_url}/api/copilotedge", f"{stack.stream_url}/api/copilotedge"):
        stack.model.script(Reply("Painted.", calls=[RED]))
        steps = steps_of(node.run(SOURCE / "graphql.mjs", packages, url, new_conversation("graphql"), stack.token()))
        said, called = steps["answered"]["messages"]
        assert (said["role"], said["content"]) == ("assistant", "Painted.")
        assert (called["type"], called["name"]) == ("ActionExecutionMessage", "setColor")
        assert steps["answered"]["arguments"] == [None, ['{"color": "tomato"}']]
        assert steps["agents"]["agents"][0]["id"] == "default"
        assert "Painted." in steps["loaded"]["messages"]


def steps_of(printed: str) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in map(json.loads, printed.splitlines())}


def texts(step: dict[str, Any]) -> list[str]:
    return [message.get("content") or "" for message in step["messages"]]


def log_of(stack: DeployedStack, thread: str) -> list[str]:
    with stack.rest() as rest:
        return [content for _, content in rest.log(thread)]
