from copilotedge.copilotkit.agui_shapes import info, inspected, moment, snapshot, state_of, stopped, thread
from copilotedge.models import ConversationSettings, Listing, Message, State, ToolCall
from copilotedge.users import Entry
from tests.fakes import START

ROOM = 10_000


def message(seq: int, role: str = "user", content: str = "Hello", **more) -> Message:
    return Message(seq, role, content, START, f"m-{seq}", **more)


def test_the_runtime_never_claims_to_be_the_paid_platform():
    assert info()["mode"] == "sse"
    assert info()["threadEndpoints"]["realtimeMetadata"] is False
    assert list(info()["agents"]) == ["default"]


def test_a_call_and_its_result_are_two_messages():
    call = message(2, "assistant", "", tool_calls=(ToolCall("c-1", "f", "{}"),))
    result = message(3, "tool", "done", tool_call_id="c-1")
    assert snapshot([message(1), call, result], ROOM)[1:] == [
        {
            "id": "m-2",
            "role": "assistant",
            "toolCalls": [{"id": "c-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"id": "m-3", "role": "tool", "content": "done", "toolCallId": "c-1"},
    ]


def test_an_answer_that_was_replaced_is_left_out():
    entries = snapshot([message(1), message(2, "assistant"), message(3, "assistant", "Better", replaces=2)], ROOM)
    assert [entry["id"] for entry in entries] == ["m-1", "m-3"]


def test_the_newest_messages_that_a_client_can_send_back_are_shown():
    entries = snapshot([message(number, content="x" * 100) for number in range(1, 10)], 500)
    assert [entry["id"] for entry in entries] == ["m-7", "m-8", "m-9"]


def test_a_result_without_its_call_is_not_shown():
    call = message(1, "assistant", "x" * 1000, tool_calls=(ToolCall("c-1", "f", "{}"),))
    entries = snapshot([call, message(2, "tool", "done", tool_call_id="c-1"), message(3)], 500)
    assert [entry["id"] for entry in entries] == ["m-3"]


def test_the_inspector_reads_flat_calls():
    call = message(2, "assistant", "", tool_calls=(ToolCall("c-1", "f", "{}"),))
    (entry,) = snapshot([call], ROOM)
    assert inspected(entry)["toolCalls"] == [{"id": "c-1", "name": "f", "args": "{}"}]
    assert inspected({"id": "m-1", "role": "user", "content": "Hi"}) == {"id": "m-1", "role": "user", "content": "Hi"}


def test_a_thread_is_a_conversation():
    listing = Listing("trip", START, START, model_title="A trip", archived=True)
    state = State(1, "", "", "", 2, 0, 2, 0, START, START + 1000, 0)
    told = thread(Entry(listing, state), "alice")
    assert (told["id"], told["name"], told["archived"], told["createdById"]) == ("trip", "A trip", True, "alice")
    assert (told["createdAt"], told["updatedAt"]) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:00:01.000Z")


def test_moments_are_written_as_javascript_does():
    assert moment(5) == "1970-01-01T00:00:00.005Z"


def test_only_an_object_is_a_state():
    assert state_of(ConversationSettings(context={"agentState": {"a": 1}})) == {"a": 1}
    assert state_of(ConversationSettings(context={"agentState": "a"})) == {}


def test_a_stop_tells_whether_there_was_something_to_stop():
    assert stopped(was_running=True)["interrupt"]["code"] == "STOPPED"
    assert stopped(was_running=False)["stopped"] is False
