"""A title for a conversation, found by a model once the first answer is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing

from copilotedge import frames
from copilotedge.addresses import address_of_key
from copilotedge.charges import Charges
from copilotedge.errors import CopilotEdgeError
from copilotedge.limits import Limits
from copilotedge.listings import cut, one_line
from copilotedge.models import Finished, Message, ModelRequest, PromptMessage, TextDelta, Usage
from copilotedge.ports import ConversationStore, Log, Model
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets

TITLE_CHARACTERS = 80
TITLE_TOKENS = 40
READ_MESSAGES = 4
EXCERPT_CHARACTERS = 1000
"""What the model gets to read of each of them."""
LONGEST_REPLY = 1000
"""Characters after which a model that does not stop is not listened to any more."""
INSTRUCTIONS = (
    "You give conversations their titles. Answer with the title alone: at most six words, in the language of the"
    " conversation, without quotation marks."
)

_THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_LABEL = re.compile(r"\Atitle\s*:\s*", re.IGNORECASE)
_WRAPPING = " .\"'`*_#\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u300c\u300d"
"""What models put around a title: Markdown, and the quotation marks of several languages."""


class Titles:
    """Stateless: one instance serves all conversations."""

    def __init__(
        self,
        store: ConversationStore,
        model: Model,
        limits: Limits,
        charges: Charges,
        sockets: Sockets,
        settings: Settings,
        log: Log,
    ) -> None:
        self._store = store
        self._model = model
        self._limits = limits
        self._charges = charges
        self._sockets = sockets
        self._settings = settings
        self._log = log

    async def entitle(self, conversation_id: str) -> None:
        """Have a model name the conversation, at its owner's expense, unless it has a better name than its first words.

        Doing it twice is harmless. Whatever goes wrong is logged and no more: then it keeps the name that it has.
        """
        try:
            await self._entitle(conversation_id)
        except CopilotEdgeError as exc:
            self._log.error("title_failed", conversation_id=conversation_id, error=exc.code)

    async def _entitle(self, conversation_id: str) -> None:
        state = await self._store.state(conversation_id)
        listing = await self._store.listing(conversation_id)
        if state is None or listing is None or listing.titled_by != "words":
            return
        messages = await self._store.messages(
            conversation_id, state.epoch, after=0, before=state.seq + 1, limit=READ_MESSAGES, newest=False
        )
        owner = address_of_key(conversation_id).owner
        await self._limits.check_budget(owner)
        title = cleaned(await self._ask(owner, request_for(messages, self._settings)))
        listing = await self._store.entitle(conversation_id, state.epoch, title) if title else None
        if listing is not None and listing.titled_by == "model":
            await self._sockets.announce(conversation_id, frames.system("titled", title=listing.title))

    async def _ask(self, owner: str, request: ModelRequest) -> str:
        text, usage, model = "", Usage(), ""
        try:
            async with aclosing(self._model.stream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        text += event.text
                    elif isinstance(event, Finished):
                        usage, model = event.usage, event.model
                    if len(text) > LONGEST_REPLY:
                        break
        finally:
            await self._charges.charge(owner, request, len(text), usage, model)
        return text


def request_for(messages: Sequence[Message], settings: Settings) -> ModelRequest:
    """The deployment's own model is asked, whichever the conversation has: the title is no part of the conversation."""
    said = [message for message in messages if message.role in ("user", "assistant") and message.content]
    excerpt = "\n\n".join(f"{message.role}: {message.content[:EXCERPT_CHARACTERS]}" for message in said)
    prompt = (PromptMessage("system", INSTRUCTIONS), PromptMessage("user", excerpt))
    return ModelRequest(settings.model, prompt, TITLE_TOKENS)


def cleaned(reply: str) -> str:
    """A title of one line, as plain as can be; empty where the model has given none."""
    lines = (one_line(line).strip(_WRAPPING) for line in _THOUGHTS.sub("", reply).splitlines())
    first = next((line for line in lines if line), "")
    return cut(_LABEL.sub("", first, count=1).strip(_WRAPPING), TITLE_CHARACTERS)
