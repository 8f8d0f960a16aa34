from copilotedge.answering import CallWords, Reply, Words
from copilotedge.copilotkit.agui_events import AnswerEvents, encode, run_error
from copilotedge.errors import QueueFull
from copilotedge.models import ToolCall

TURN = "0" * 32


def kinds(events) -> list[str]:
    return [event["type"] for event in events]


def reply(text: str = "", *calls: ToolCall, attempt: int = 1) -> Reply:
    return Reply(TURN, text, "m", 0, answer_id=f"{TURN}-{attempt}", tool_calls=calls)


def test_an_answer_is_one_message_under_the_id_that_the_log_gives_it():
    answer = AnswerEvents(TURN)
    events = [*answer.piece(Words("Hel", 0)), *answer.piece(Words("lo", 3)), *answer.rest(reply("Hello"))]
    assert kinds(events) == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]
    assert {event["messageId"] for event in events} == {f"{TURN}-1"}


def test_an_answer_of_no_conversation_goes_by_its_turn():
    assert next(AnswerEvents(TURN, stateless=True).piece(Words("Hi", 0)))["messageId"] == TURN


def test_a_tool_call_belongs_to_the_message_of_its_answer():
    answer = AnswerEvents(TURN)
    events = [
        *answer.piece(Words("Wait.", 0)),
        *answer.piece(CallWords(0, "", "call-1", "setColor")),
        *answer.piece(CallWords(0, '{"color": "red"}')),
        *answer.rest(reply("Wait.", ToolCall("call-1", "setColor", '{"color": "red"}'))),
    ]
    assert kinds(events)[2:] == ["TEXT_MESSAGE_END", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]
    assert events[3]["parentMessageId"] == events[0]["messageId"]
    assert events[4] == {"type": "TOOL_CALL_ARGS", "toolCallId": "call-1", "delta": '{"color": "red"}'}


def test_arguments_of_parallel_calls_may_come_in_turns():
    answer = AnswerEvents(TURN)
    pieces = [CallWords(0, "", "a", "f"), CallWords(1, "", "b", "f"), CallWords(0, "{}"), CallWords(1, "{}")]
    events = [event for piece in pieces for event in answer.piece(piece)] + [*answer.close()]
    assert [(event["type"][10:], event["toolCallId"]) for event in events] == [
        ("START", "a"),
        ("START", "b"),
        ("ARGS", "a"),
        ("ARGS", "b"),
        ("END", "a"),
        ("END", "b"),
    ]


def test_text_after_a_call_goes_on_with_the_same_message():
    answer = AnswerEvents(TURN)
    list(answer.piece(CallWords(0, "{}", "a", "f")))
    events = list(answer.piece(Words("Done.", 0)))
    assert kinds(events) == ["TOOL_CALL_END", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
    assert events[1]["messageId"] == f"{TURN}-1"


def test_what_was_not_heard_is_said_at_the_end():
    answer = AnswerEvents(TURN)
    list(answer.piece(Words("Hel", 0)))
    events = list(answer.rest(reply("Hello", ToolCall("a", "f", "{}"))))
    assert events[0]["delta"] == "lo"
    assert kinds(events)[1:] == ["TEXT_MESSAGE_END", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]


def test_an_answer_of_which_nothing_was_heard_has_the_name_of_its_attempt():
    events = list(AnswerEvents(TURN).rest(reply("Hello", attempt=3)))
    assert events[0]["messageId"] == f"{TURN}-3"


def test_an_empty_answer_is_no_message():
    assert list(AnswerEvents(TURN).rest(reply())) == []


def test_a_new_attempt_is_a_new_message():
    answer = AnswerEvents(TURN)
    list(answer.piece(Words("Hel", 0, 1)))
    assert answer.begins_anew(Words("Good", 0, 2))
    events = list(answer.piece(Words("Good", 0, 2)))
    assert [event["messageId"] for event in events] == [f"{TURN}-1", f"{TURN}-2", f"{TURN}-2"]
    assert not answer.begins_anew(Words("bye", 4, 2))


def test_a_first_attempt_begins_nothing_anew_whatever_its_number():
    assert not AnswerEvents(TURN).begins_anew(Words("Hello", 0, 2))


def test_calls_that_a_stop_cut_short_are_more_than_the_answer_has():
    answer = AnswerEvents(TURN)
    list(answer.piece(CallWords(0, '{"co', "a", "f")))
    assert answer.has_said_more(())
    assert not answer.has_said_more([ToolCall("a", "f", "{}")])


def test_an_error_has_text_for_people_and_a_code_for_programs():
    assert run_error(QueueFull("Too many.")) == {"type": "RUN_ERROR", "message": "Too many.", "code": "queue_full"}


def test_an_event_is_one_line_of_data():
    assert encode({"type": "A", "delta": "é\n"}) == 'data: {"type":"A","delta":"é\\n"}\n\n'.encode()
