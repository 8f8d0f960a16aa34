"""Takes the README's pictures: the page on a local stack of its own, where only the model's words are made up, below.

    make screenshots

The fonts are those of the machine.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from local.stack import Stack
from tests.e2e.chat_page import CHROMIUM_OPTIONS, PHONE, ChatPage
from tests.scripted_model import Reply, Request, ScriptedModel
from tests.stack import BUILD, DeployedStack, own_ports

IMAGES = Path(__file__).parent.parent / "docs" / "images"
DESKTOP = {"viewport": {"width": 1280, "height": 832}, "device_scale_factor": 1.5}
USER = "alice"
PATIENCE = 60_000  # ms

LIMITER = """Count the calls in a DynamoDB item and let the *condition* decide: \
reading and writing are one step, so nobody slips in between.

```python
def admit(table, user: str, limit: int = 60) -> bool:
    \"\"\"Whether this user may call once more in this minute.\"\"\"
    minute = int(time.time() // 60)
    try:
        table.update_item(
            Key={"pk": f"LIMIT#{user}", "sk": str(minute)},
            UpdateExpression="ADD calls :one",
            ConditionExpression="attribute_not_exists(calls) OR calls < :limit",
            ExpressionAttributeValues={":one": 1, ":limit": limit},
        )
    except ClientError:  # the condition did not hold
        return False
    return True
```

Give the items a **TTL** of two minutes, and they clean up after themselves."""
PRICE = """One write request unit a call, on demand, in us-east-1:

| calls a month | price |
|---|---|
| 1 million | $0.63 |
| 30 million | $18.75 |

Refused calls are writes too: they cost the same."""
GARDENER = """Think of a **shed with numbered drawers**. You never search the shed: \
you go straight to the drawer whose label you know.

1. The *partition key* is the drawer's label.
2. The *sort key* is the order of the seed packets in it.
3. What you did not label, you will not find."""

SAID = {
    "How do I limit how often one user may call my Lambda?": ("Rate limit per user in Lambda", LIMITER, (212, 418)),
    "What does that cost for a million calls?": ("", PRICE, (655, 131)),
    "Explain DynamoDB to a gardener": ("DynamoDB for gardeners", GARDENER, (48, 187)),
    "Plan a week of vegetarian dinners for four": ("Vegetarian dinners for four", "Monday: lentil soup.", (51, 302)),
    "Why is my Postgres query slow?": ("Slow Postgres query", "Most likely an index is missing.", (60, 240)),
    "Three names for a friendly robot": ("Names for a friendly robot", "Bolt, Pip, and Otto.", (44, 19)),
    "Write a haiku about serverless": ("Serverless haiku", "No server in sight.", (42, 24)),
}
"""What is asked: the title that it gets, the answer, and its tokens (prompt, completion)."""
LIMITING = ("How do I limit how often one user may call my Lambda?", "What does that cost for a million calls?")
OTHERS = [question for question in reversed(SAID) if question not in LIMITING]


def answer(request: Request) -> Reply:
    """To a question its answer; to whoever asks for a title, that of the conversation."""
    told = "\n".join(str(message["content"]) for message in request.body["messages"])
    if request.last_user_message in SAID and "titles" not in told:
        _, text, usage = SAID[request.last_user_message]
        return Reply(text, usage=usage)
    return Reply(next((title for question, (title, _, _) in SAID.items() if question in told), ""), usage=(90, 6))


class Photographer:
    """Opens conversations in one browser and takes pictures of them."""

    def __init__(self, browser: Browser, stack: DeployedStack) -> None:
        self._browser = browser
        self._stack = stack

    @contextmanager
    def page(self, conversation_id: str, **options: Any) -> Iterator[ChatPage]:
        """Nothing moves, so that a picture is the same whenever it is taken."""
        context: BrowserContext = self._browser.new_context(**{"reduced_motion": "reduce"} | options)
        chat = ChatPage(context.new_page(), self._stack.endpoints.chat_page_url, self._stack.token(USER))
        chat.open(conversation_id)
        yield chat
        context.close()

    def talk(self, question: str) -> str:
        """A new conversation, until it has its title."""
        conversation_id = str(uuid.uuid4())
        with self.page(conversation_id, **DESKTOP) as chat:
            ask(chat, question)
            expect(chat.title).to_have_text(SAID[question][0])
        return conversation_id

    def take(self, chat: ChatPage, name: str) -> None:
        expect(chat.page.locator("#total")).not_to_be_empty()
        chat.page.mouse.move(0, 0)
        chat.page.screenshot(path=IMAGES / f"{name}.png")


def ask(chat: ChatPage, question: str) -> None:
    answers = chat.answers.count()
    chat.send(question)
    expect(chat.answers).to_have_count(answers + 1)
    chat.expect_idle()


def take_all(photographer: Photographer) -> None:
    for question in OTHERS:
        photographer.talk(question)
    limiting = photographer.talk(LIMITING[0])
    with photographer.page(limiting, **DESKTOP) as chat:
        chat.choose("Vegetarian dinners for four", "Pin")
        expect(chat.entries.first).to_contain_text("Vegetarian dinners for four")
        chat.field.focus()
        photographer.take(chat, "chat")
        ask(chat, LIMITING[1])
        change_settings(chat)
        photographer.take(chat, "chat-settings")
    with photographer.page(limiting, **DESKTOP, color_scheme="dark") as chat:
        photographer.take(chat, "chat-dark")
    with photographer.page(limiting, **PHONE) as chat:
        photographer.take(chat, "chat-phone")
        chat.button("Conversations").click()
        expect(chat.entries).to_have_count(len(OTHERS) + 1)
        photographer.take(chat, "chat-phone-list")


def change_settings(chat: ChatPage) -> None:
    chat.button("Settings").click()
    chat.settings.get_by_label("System prompt").fill("You are a patient engineer. Prefer few words and working code.")
    chat.settings.get_by_label("Temperature").fill("0.3")
    chat.button("Save").click()
    expect(chat.settings.get_by_text("Saved.")).to_be_visible()


def main() -> None:
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as directory, ScriptedModel() as model, sync_playwright() as playwright:
        model.default = answer
        local = Stack(Path(directory), build=BUILD, preferred_ports=own_ports())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_OPTIONS))
        try:
            stack = DeployedStack(local, model)
            stack.redeploy(AutomaticTitles="true")
            take_all(Photographer(browser, stack))
        finally:
            browser.close()
            local.down()


if __name__ == "__main__":
    main()
