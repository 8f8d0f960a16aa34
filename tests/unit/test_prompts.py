"""What the model gets to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge import prompts
from copilotedge.models import ConversationSettings, Message, ModelRequest, PromptMessage, ToolCall, Turn
from copilotedge.settings import Settings

SETTINGS = Settings(model="default", max_answer_tokens=100)
TURN = Turn("t", "m", 1)


def log(*texts: str) -> list[Message]:
    """Questions and answers in turn, the last one a question."""
    roles = ["user", "assistant"] * len(texts)
    first = (len(texts) + 1) % 2
    return [Message(n, roles[first + n], text, 0, f"m{n}") for n, text in enumerate(texts)]


def asked(turn: Turn = TURN, stored: ConversationSettings | None = None, *texts: str) -> ModelRequest:
    return prompts.for_turn(turn, stored or ConversationSettings(), log(*(texts or ("Hi",))), SETTINGS)


def test_the_log_comes_in_order_with_the_question_last():
    assert asked(TURN, None, "a", "b", "c").messages == (
        PromptMessage("user", "a"),
        PromptMessage("assistant", "b"),
        PromptMessage("user", "c"),
    )


@pytest.mark.parametrize(
    ("turn", "stored", "expected"),
    [
        (TURN, ConversationSettings(), ("default", 100, None)),
        (TURN, ConversationSettings("stored", "", {"temperature": 1, "maxTokens": 7}), ("stored", 7, 1.0)),
        (
            replace(TURN, model="turn", temperature=0.0, max_tokens=3),
            ConversationSettings("stored", "", {"temperature": 0.7, "maxTokens": 7}),
            ("turn", 3, 0.0),
        ),
        (TURN, ConversationSettings(context={"temperature": True, "maxTokens": True}), ("default", 100, None)),
        (TURN, ConversationSettings(context={"temperature": "hot", "maxTokens": -1}), ("default", 100, None)),
    ],
)
def test_the_turn_comes_before_the_stored_settings_and_these_before_ours(turn, stored, expected):
    request = asked(turn, stored)
    assert (request.model, request.max_tokens, request.temperature) == expected


def test_a_model_that_was_stored_before_it_was_forbidden_is_not_asked():
    settings = replace(SETTINGS, allowed_models="small")
    stored = ConversationSettings("dear")
    assert prompts.for_turn(TURN, stored, log("Hi"), settings).model == "default"
    assert prompts.for_turn(replace(TURN, model="small"), stored, log("Hi"), settings).model == "small"


def test_the_stored_prompt_comes_first_and_the_requests_own_on_top():
    messages = [replace(message, instructions="Be brief") for message in log("Hi")]
    stored = ConversationSettings(context={"systemPrompt": "Be kind"})
    request = prompts.for_turn(TURN, stored, messages, SETTINGS)
    assert request.messages == (PromptMessage("system", "Be kind\n\nBe brief"), PromptMessage("user", "Hi"))


@pytest.mark.parametrize("prompt", [None, "", 7])
def test_what_is_no_prompt_is_left_out(prompt):
    stored = ConversationSettings(context={"systemPrompt": prompt})
    assert asked(TURN, stored).messages == (PromptMessage("user", "Hi"),)


def test_an_earlier_questions_instructions_are_its_own():
    messages = log("a", "b", "c")
    messages[0] = replace(messages[0], instructions="Shout")
    request = prompts.for_turn(TURN, ConversationSettings(), messages, SETTINGS)
    assert request.messages[0] == PromptMessage("user", "a")


def test_neighbours_of_one_role_are_joined():
    messages = [Message(n, "user", text, 0, "m", status="failed") for n, text in enumerate("ab")]
    request = prompts.for_turn(TURN, ConversationSettings(), messages, SETTINGS)
    assert request.messages == (PromptMessage("user", "a\n\nb"),)


def test_an_empty_answer_is_left_out():
    assert asked(TURN, None, "a", "", "c").messages == (PromptMessage("user", "a\n\nc"),)


@pytest.mark.parametrize(
    ("messages", "characters", "expected"),
    [(2, 99, "cd"), (9, 99, "abcd"), (9, 3, "bcd"), (9, 1, "d"), (9, 0, "d")],
)
def test_the_window_keeps_the_newest_messages_that_fit(messages, characters, expected):
    settings = Settings(history_window_messages=messages, history_window_characters=characters)
    kept = prompts.window([PromptMessage("user", text) for text in "abcd"], settings)
    assert "".join(message.content for message in kept) == expected


def test_a_question_longer_than_the_window_is_asked_whole():
    settings = Settings(history_window_characters=5)
    assert prompts.window([PromptMessage("user", "x" * 50)], settings) == [PromptMessage("user", "x" * 50)]


def test_a_window_begins_with_a_question():
    texts = [str(n) for n in range(101)]
    assert asked(TURN, None, *texts).messages[0].role == "user"


# --- Tools

CALLS = PromptMessage("assistant", "", (ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}")))
ONE, TWO = PromptMessage("tool", "one", tool_call_id="1"), PromptMessage("tool", "two", tool_call_id="2")
ASKED, THANKS = PromptMessage("user", "Do it"), PromptMessage("user", "Thanks")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([ASKED, CALLS, ONE, TWO], [ASKED, CALLS, ONE, TWO]),
        ([ASKED, CALLS, TWO, ONE, THANKS], [ASKED, CALLS, TWO, ONE, THANKS]),
        ([ASKED, CALLS, ONE, THANKS], [ASKED, THANKS]),
        ([ASKED, CALLS, THANKS], [ASKED, THANKS]),
        (
            [ASKED, replace(CALLS, content="Let me see."), THANKS],
            [ASKED, PromptMessage("assistant", "Let me see."), THANKS],
        ),
        ([ASKED, CALLS, ONE], [ASKED, PromptMessage("user", "one")]),
        ([ONE, ASKED], [ASKED]),
        ([ONE], [PromptMessage("user", "one")]),
    ],
)
def test_calls_and_their_results_are_shown_together_or_not_at_all(given, shown):
    assert prompts.window(given, SETTINGS) == shown


def test_a_window_does_not_begin_between_a_call_and_its_results():
    settings = Settings(history_window_messages=3)
    assert prompts.window([ASKED, CALLS, ONE, TWO, THANKS], settings) == [THANKS]


def test_arguments_of_calls_take_room():
    settings = Settings(history_window_characters=12)
    long = PromptMessage("assistant", "", (ToolCall("1", "a", "x" * 20),))
    assert prompts.window([ASKED, long, ONE, THANKS], settings) == [THANKS]


def test_results_are_not_joined():
    messages = [
        Message(1, "user", "Do it", 0, "m1"),
        Message(2, "assistant", "", 0, "m2", tool_calls=CALLS.tool_calls),
        Message(3, "tool", "one", 0, "m3", tool_call_id="1"),
        Message(4, "tool", "two", 0, "m4", tool_call_id="2", options='{"seed":1}'),
    ]
    request = prompts.for_turn(TURN, ConversationSettings(), messages, SETTINGS)
    assert (request.messages, request.options) == ((ASKED, CALLS, ONE, TWO), '{"seed":1}')
