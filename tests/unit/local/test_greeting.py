from dataclasses import replace

from local.__main__ import greeting
from local.endpoints import Endpoints

OPEN = Endpoints(
    http_url="http://aws/api",
    websocket_url="ws://aws/live",
    stream_url="http://stream",
    chat_page_url="http://aws/api/",
    aws_endpoint_url="http://aws",
    table_name="table",
    stack_name="copilotedge",
    workers_ai_base_url="http://model",
)


def line(text: str, name: str) -> str:
    """What the greeting says about one thing."""
    [found] = [line for line in text.splitlines() if line.strip().startswith(name)]
    return found.strip().removeprefix(name).strip()


def test_the_chat_page_opens_with_a_token_of_its_own() -> None:
    assert line(greeting(replace(OPEN, token="a.b.c")), "Chat page") == "http://aws/api/#token=a.b.c"


def test_the_token_is_told_once_and_the_shell_puts_it_into_the_rest() -> None:
    text = greeting(replace(OPEN, token="a.b.c"))
    assert line(text, "Token") == "TOKEN=a.b.c"
    assert '"authorization: Bearer $TOKEN"' in line(text, "REST")
    assert line(text, "OpenAI") == "http://stream/v1"
    assert line(text, "WebSocket") == "ws://aws/live?conversationId=hello&token=$TOKEN"


def test_where_none_is_needed_none_is_told() -> None:
    assert "token" not in greeting(OPEN).lower()
