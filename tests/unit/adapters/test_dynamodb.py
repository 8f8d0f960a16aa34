"""The DynamoDB store where it differs from the one in memory: what the table may answer, and what a turn costs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from copilotedge.adapters.dynamodb import store as dynamodb
from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.answering import Reply
from copilotedge.errors import InvalidRequest, ReceiptExists, RequestTooLarge, StateChanged, StoreUnavailable
from copilotedge.models import Change, Connection, Message, PromptMessage, QueuedMessage, Receipt, Usage
from copilotedge.openai.chat_requests import ChatMessage, ChatRequest, parse_chat
from copilotedge.requests import merge_context
from copilotedge.transitions import Submission
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START, FakeClock, World, until

TEMPLATE = Path(__file__).parent.parent.parent.parent / "template.yaml"
STATE = born(Rules(), START)
NEXT = next_state(STATE)
SINGLE = Change(STATE, NEXT)
DOUBLE = Change(STATE, NEXT, messages=(Message(1, "user", "Hi", START, "m1"),))
RECEIPT = replace(DOUBLE, receipt=Receipt("m1", "t1", "print", STATE.epoch))

A_LONG_TIME = 3_600
"""In seconds."""


@pytest.fixture(autouse=True)
def two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb, "TRANSACTION_TRIES", 2)


@pytest.fixture
def stubbed(stub: Stubber) -> DynamoDBStore:
    return DynamoDBStore(stub.client, "table", 10, FakeClock())


def cancel(stub: Stubber, *reasons: str) -> None:
    """Let a transaction be refused; each try must carry the nonce as its token."""
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        expected_params={"TransactItems": ANY, "ClientRequestToken": NEXT.nonce},
        modeled_fields={"CancellationReasons": [{"Code": reason} for reason in reasons]},
    )


# --- Transactions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
async def test_a_transaction_in_another_ones_way_is_tried_again_with_the_same_token(stub, stubbed, reason):
    cancel(stub, "None", reason)
    stub.add_response("transact_write_items", {}, {"TransactItems": ANY, "ClientRequestToken": NEXT.nonce})
    await stubbed.commit("c", DOUBLE)


async def test_a_transaction_that_is_still_under_way_is_tried_again(stub, stubbed):
    stub.add_client_error("transact_write_items", "TransactionInProgressException")
    stub.add_response("transact_write_items", {})
    await stubbed.commit("c", DOUBLE)


async def test_a_transaction_that_never_gets_through_counts_as_a_lost_race(stub, stubbed):
    for _ in range(2):
        cancel(stub, "TransactionConflict", "None")
    with pytest.raises(StateChanged):
        await stubbed.commit("c", DOUBLE)


@pytest.mark.parametrize(
    ("reasons", "error"),
    [
        (("ConditionalCheckFailed", "None", "None"), StateChanged),
        (("None", "ConditionalCheckFailed", "None"), ReceiptExists),
        (("ConditionalCheckFailed", "ConditionalCheckFailed", "None"), StateChanged),
        (("ConditionalCheckFailed", "TransactionConflict", "None"), StateChanged),
        (("None", "ValidationError", "None"), StoreUnavailable),
    ],
)
async def test_a_refused_transaction_says_what_stood_in_its_way(stub, stubbed, reasons, error):
    cancel(stub, *reasons)
    with pytest.raises(error):
        await stubbed.commit("c", RECEIPT)


async def test_a_refusal_tells_no_foreign_text(stub, stubbed):
    stub.add_client_error("transact_write_items", "ValidationException", "inside story")
    with pytest.raises(StoreUnavailable) as caught:
        await stubbed.commit("c", DOUBLE)
    assert "inside" not in caught.value.message


# --- Single writes -----------------------------------------------------------------------------------------------


def refuse_put(stub: Stubber, **fields: Any) -> None:
    stub.add_client_error("put_item", "ConditionalCheckFailedException", modeled_fields=fields)


async def test_a_write_that_finds_its_own_nonce_had_happened(stub, stubbed):
    refuse_put(stub, Item={"nonce": {"S": NEXT.nonce}})
    await stubbed.commit("c", SINGLE)


@pytest.mark.parametrize("fields", [{"Item": {"nonce": {"S": "another"}}}, {}])
async def test_a_write_that_finds_anything_else_has_lost_its_race(stub, stubbed, fields):
    refuse_put(stub, **fields)
    with pytest.raises(StateChanged):
        await stubbed.commit("c", SINGLE)


async def test_a_write_in_a_transactions_way_has_lost_its_race(stub, stubbed):
    stub.add_client_error("put_item", "TransactionConflictException")
    with pytest.raises(StateChanged):
        await stubbed.commit("c", SINGLE)


@pytest.mark.parametrize("code", ["TransactionInProgressException", "ThrottlingException", "AccessDeniedException"])
async def test_a_write_that_fails_otherwise_makes_the_store_unavailable(stub, stubbed, code):
    stub.add_client_error("put_item", code)
    with pytest.raises(StoreUnavailable) as caught:
        await stubbed.commit("c", SINGLE)
    assert caught.value.retry_after


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("query", lambda store: store.snapshot("c", 5)),
        ("get_item", lambda store: store.state("c")),
        ("get_item", lambda store: store.receipt("c", "m")),
        ("query", lambda store: store.connections("c")),
        ("update_item", lambda store: store.connect("c", Connection("a"))),
        ("delete_item", lambda store: store.disconnect("c", "a")),
        ("query", lambda store: store.sweep("c")),
    ],
)
async def test_a_throttled_store_is_unavailable(stub, stubbed, method, call):
    stub.add_client_error(method, "ProvisionedThroughputExceededException")
    with pytest.raises(StoreUnavailable):
        await call(stubbed)


async def test_a_store_out_of_reach_is_unavailable():
    class Unreachable:
        def get_item(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with pytest.raises(StoreUnavailable) as caught:
        await DynamoDBStore(Unreachable(), "table", 10, FakeClock()).state("c")
    assert caught.value.retry_after


# --- Sweeping ----------------------------------------------------------------------------------------------------


def dead(stub: Stubber, **item: str) -> None:
    """Let the table hold one item, and no state."""
    plain = {name: {"S": value} for name, value in ({"pk": "CONV#c", "epoch": "e", "life": "l"} | item).items()}
    stub.add_response("query", {"Items": [plain]})


async def test_deletions_that_did_not_fit_are_asked_for_again(stub, stubbed):
    dead(stub, sk="MSG#e#1")
    left = {"table": [{"DeleteRequest": {"Key": {"pk": {"S": "CONV#c"}, "sk": {"S": "MSG#e#1"}}}}]}
    stub.add_response("batch_write_item", {"UnprocessedItems": left})
    stub.add_response("batch_write_item", {"UnprocessedItems": {}}, {"RequestItems": left})
    assert (await stubbed.sweep("c")).deleted == 1


async def test_deletions_that_never_fit_make_the_store_unavailable(stub, stubbed):
    dead(stub, sk="MSG#e#1")
    for _ in range(2):
        stub.add_response(
            "batch_write_item", {"UnprocessedItems": {"table": [{"DeleteRequest": {"Key": {"pk": {"S": "x"}}}}]}}
        )
    with pytest.raises(StoreUnavailable):
        await stubbed.sweep("c")


@pytest.mark.parametrize("sk", ["SETTINGS", "QUEUE#1#m", "ID#m"])
async def test_what_a_new_life_has_written_anew_is_not_deleted(stub, stubbed, sk):
    dead(stub, sk=sk)
    stub.add_client_error("delete_item", "ConditionalCheckFailedException")
    await stubbed.sweep("c")


async def test_a_deletion_that_fails_otherwise_is_not_passed_over(stub, stubbed):
    dead(stub, sk="ID#m")
    stub.add_client_error("delete_item", "TransactionConflictException")
    with pytest.raises(StoreUnavailable):
        await stubbed.sweep("c")


@pytest.mark.parametrize("role", ["JanitorRole", "TurnWorkerRole"])
def test_the_functions_that_sweep_may_delete_in_batches(role):
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda *_: None)
    (policy,) = yaml.load(TEMPLATE.read_text(), loader)["Resources"][role]["Properties"]["Policies"]
    allowed = [action for statement in policy["PolicyDocument"]["Statement"] for action in statement["Action"]]
    assert "dynamodb:BatchWriteItem" in allowed


# --- Over an emulated table --------------------------------------------------------------------------------------


@pytest.fixture
def world(dynamodb: Any, table: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """The whole core over moto's DynamoDB. No turn takes so long that somebody looks after it: requests are counted."""
    monkeypatch.setattr("copilotedge.watching.WATCH_SECONDS", A_LONG_TIME)
    monkeypatch.setattr("copilotedge.holding.LAG_SECONDS", A_LONG_TIME)
    return World(store=lambda clock: DynamoDBStore(dynamodb, table, 1000, clock), lease_seconds=A_LONG_TIME)


async def stored(world: World, count: int, text: str = "text") -> None:
    """A log of ``count`` messages."""
    state = replace(STATE, seq=count, message_count=count)
    log = [Message(n, "user" if n % 2 else "assistant", text, START, f"m{n}") for n in range(1, count + 1)]
    await world.store.commit("c1", Change(None, state, messages=tuple(log[:90])))
    for start in range(90, count, 90):
        before, state = state, next_state(state)
        await world.store.commit("c1", Change(before, state, messages=tuple(log[start : start + 90])))


async def ask(world: World, text: str = "Hi") -> Reply:
    request = ChatRequest(messages=[ChatMessage(role="user", content=text)], conversationId="c1")
    return await world.replies.reply(request.question, "", "c1", world.clock.now, world.clock.now + 25_000, "key-1")


async def ask_alone(world: World, requests: Counter[str]) -> None:
    """A turn of a caller whom no socket hears; counts its requests only."""
    requests.clear()
    await ask(world)


async def ask_slowly(world: World, requests: Counter[str]) -> None:
    """A turn that a socket hears; counts its requests only."""
    gate = asyncio.Event()
    world.model.scripts.append(["Hel", gate, "lo"])
    await world.store.connect("c1", Connection("a"))
    requests.clear()
    turn = asyncio.create_task(ask(world))
    await until(lambda: world.gateway.text("a") == "Hel")
    gate.set()
    assert (await turn).text == "Hello"


@pytest.mark.parametrize("messages", [5, 500])
async def test_a_turn_costs_three_requests_however_long_the_log(world, requests, messages):
    await stored(world, messages)
    await ask_alone(world, requests)
    assert requests == {"Query": 1, "TransactWriteItems": 2}


@pytest.mark.parametrize("messages", [5, 500])
async def test_one_that_sockets_hear_costs_another_to_let_go_when_they_have_heard_it(world, requests, messages):
    await stored(world, messages)
    await ask_slowly(world, requests)
    assert requests == {"Query": 1, "TransactWriteItems": 2, "PutItem": 1}


async def test_the_first_turn_also_looks_at_the_sockets_for_there_was_no_state_to_vouch_for_them(
    world, requests, monkeypatch
):
    found, meet = asyncio.Event(), world.holding.meet

    async def met(*arguments: Any) -> None:
        await meet(*arguments)
        found.set()

    monkeypatch.setattr(world.holding, "meet", met)
    world.model.scripts.append([found, "Hello"])  # an answer that is there sooner ends the looking, which begins again
    await ask_alone(world, requests)
    assert requests == {"Query": 2, "TransactWriteItems": 2}


async def test_a_repeated_turn_costs_no_write(world, requests):
    await ask(world)
    requests.clear()
    await ask(world)
    assert requests == {"Query": 2}


async def test_a_message_that_waits_costs_a_read_and_a_write(world, requests):
    await world.conversations.submit("c1", Submission("m1", "1", START))
    requests.clear()
    await world.conversations.submit("c1", Submission("m2", "2", START))
    assert requests == {"Query": 1, "TransactWriteItems": 1}


async def test_a_lease_is_claimed_in_a_read_and_a_write(world, requests):
    await world.conversations.submit("c1", Submission("m1", "1", START))
    requests.clear()
    await world.runner.claim("c1", "me")
    assert requests == {"Query": 1, "PutItem": 1}


async def test_a_connection_is_listed_no_longer_than_it_can_live(world):
    await world.store.connect("c1", Connection("a"))
    world.clock.advance(7_799_000)
    assert len(await world.store.connections("c1")) == 1
    world.clock.advance(1_000)
    assert await world.store.connections("c1") == ()


async def test_a_whole_log_of_long_messages_is_read(world):
    await stored(world, 60, "x" * 30_000)
    found = await world.store.messages("c1", STATE.epoch, after=0, before=99, limit=99, newest=False)
    assert [message.seq for message in found] == list(range(1, 61))


async def test_a_sweep_deletes_in_batches(world, requests):
    await stored(world, 60)
    state = await world.store.state("c1")
    await world.store.commit("c1", Change(state, next_state(state), removes_state=True))
    requests.clear()
    assert (await world.store.sweep("c1")).deleted == 60
    assert requests == {"Query": 1, "BatchWriteItem": 3}


async def test_a_sweep_ends_with_an_expired_state(world):
    await stored(world, 5)
    world.clock.now = STATE.expires_at * 1000
    assert (await world.store.sweep("c1")).deleted == 5


async def test_a_page_of_long_messages_knows_that_there_is_more(world):
    await stored(world, 60, "x" * 30_000)
    page = await world.conversations.page("c1", 50)
    assert len(page.messages) == 50 or page.more


async def test_a_long_queue_leaves_the_window_whole(world):
    await stored(world, 60)
    state, epoch = await world.store.state("c1"), STATE.epoch
    queue = tuple(QueuedMessage(f"{n:03d}", f"q{n}", f"t{n}", "text", START, epoch) for n in range(50))
    await world.store.commit("c1", Change(state, next_state(state, queued=50), queued=queue))
    assert len((await world.store.snapshot("c1", 42)).messages) == 42


async def test_the_largest_request_can_be_imported(world):
    brought = [PromptMessage("user" if n % 2 else "assistant", str(n)) for n in range(99)]
    await world.conversations.submit("c1", Submission("m1", "Hi", START, client_id=True), brought)


async def test_settings_live_as_long_as_their_conversation(world):
    world.conversations._rules = replace(world.rules, inactivity_ms=40 * 86_400_000)
    state, _ = await world.conversations.store_settings("c1", lambda stored: replace(stored, model="m"))
    key = {"pk": {"S": "CONV#c1"}, "sk": {"S": "SETTINGS"}}
    item = world.store._client.get_item(TableName="conversations", Key=key)["Item"]
    assert "expires_at" not in item or int(item["expires_at"]["N"]) >= state.expires_at


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"messages": [{"role": "system", "content": "x" * 10_000}] * 60}, id="600 KB of instructions"),
        pytest.param({"messages": [], "temperature": 1e-200}, id="a number too small for the table"),
    ],
)
async def test_what_the_edge_lets_in_can_be_stored(world, more):
    body = more | {"conversationId": "c1", "messages": [*more["messages"], {"role": "user", "content": "Hi"}]}
    with suppress(InvalidRequest):
        request = parse_chat(json.dumps(body), world.settings)
        await world.replies.reply(request.question, "", "c1", world.clock.now, world.clock.now + 25_000)


async def test_a_context_cannot_outgrow_its_item(world):
    async def add(name: str) -> None:
        await world.conversations.store_settings(
            "c1", lambda stored: replace(stored, context=merge_context(stored.context, {name: "🎉" * 20_000}))
        )

    await add("one")
    with pytest.raises(RequestTooLarge):
        await add("two")


async def test_usage_is_kept_with_the_answer(world):
    await ask(world)
    again = await ask(world)
    assert again.usage == Usage(10, 5)
