"""The whole stack ends and starts again, in the middle of an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.options import Options
from local.stack import Stack
from tests.clients import is_status, new_conversation
from tests.faults.stories import STORY, TEXT, held_after, wait_for_words
from tests.history import check
from tests.scripted_model import Reply, ScriptedModel
from tests.stack import BUILD, DeployedStack, own_ports, sole_builder

LEASE = "3"


@pytest.fixture(scope="module")
def stack_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedStack]:
    """With leases of 2 s, so that a dead holder is soon replaced."""
    local = Stack(tmp_path_factory.mktemp("restarted"), build=BUILD, preferred_ports=own_ports())
    with ScriptedModel() as model:
        try:
            yield DeployedStack(local, model, LeaseSeconds=LEASE)
        finally:
            local.down()


def test_a_conversation_goes_on_after_the_whole_stack_was_restarted(stack_of_our_own: DeployedStack):
    own, conversation = stack_of_our_own, new_conversation("restart")
    own.model.when_asked("Tell me", held_after(5), Reply(chunks=STORY))
    with own.socket(conversation) as before:
        assert before.ask("Hello", 60) == "You said: Hello"
        before.say("Tell me a story", id="m-1")
        wait_for_words(own, before, 5)
        before.say("And then?", id="m-2")
        before.receive_until(is_status("queued"), seconds=60)
        restart(own)
    with own.socket(conversation) as after, own.rest() as rest:
        after.command("resume", afterSeq=2)
        after.receive_turn(60)
        after.receive_turn(60)
        sockets = {"before": before.frames, "after": after.frames}
        assert check(rest.observed(conversation, sockets, {"client": ["m-1", "m-2"]})) == []
        told = [text for _, text in rest.log(conversation)]
        assert told == ["Hello", "You said: Hello", "Tell me a story", TEXT, "And then?", "You said: And then?"]
        assert after.ask("Still there?", 60) == "You said: Still there?"


def restart(stack: DeployedStack) -> None:
    stack.local.down()
    with sole_builder():
        stack.local.up(Options(workers_ai_base_url=stack.model.base_url, parameters={"LeaseSeconds": LEASE}))
