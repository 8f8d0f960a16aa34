"""The REST routes that go with conversations."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from copilotedge_client.errors import CopilotEdgeError

Form = Literal["json", "markdown"]

PATIENCE_SECONDS = 30

_MORE = re.compile(r"\n\*There is more, behind message (\d+): export it with `after=\1`\.\*\n*\Z")
_GOES_ON = re.compile(r"\A.*?^\*This goes on behind message \d+\.\*\n+", re.DOTALL | re.MULTILINE)
"""What a part in Markdown ends and begins with. What was said is quoted, so it cannot look like these."""


class Rest:
    """``url`` is the HTTP API's. Everything raises ``CopilotEdgeError``."""

    def __init__(self, url: str, token: str | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = url.rstrip("/") + "/"
        self._http = httpx.AsyncClient(base_url=base, headers=headers, timeout=PATIENCE_SECONDS, transport=transport)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def conversations(self, *, limit: int = 0, cursor: str = "", search: str = "") -> dict[str, Any]:
        """One's own: ``{"conversations": [...], "nextCursor"}``."""
        query = {"limit": str(limit or ""), "cursor": cursor, "q": search}
        answer = await self._get("conversations", {name: value for name, value in query.items() if value})
        fields: dict[str, Any] = answer.json()
        return fields

    async def export(self, conversation_id: str, form: Form = "markdown") -> str:
        """The whole conversation as a text."""
        if form == "markdown":
            return "".join([part async for part in self._markdown(conversation_id)])
        parts = [part async for part in self._json(conversation_id)]
        messages = [message for part in parts for message in part["messages"]]
        return json.dumps({**parts[-1], "messages": messages}, ensure_ascii=False, separators=(",", ":"))

    async def _markdown(self, conversation_id: str) -> AsyncIterator[str]:
        text = await self._part(conversation_id, "markdown", 0)
        while more := _MORE.search(text):
            yield text[: more.start() + 1]
            text = await self._part(conversation_id, "markdown", int(more[1]))
            text = _GOES_ON.sub("", text)
        yield text

    async def _json(self, conversation_id: str) -> AsyncIterator[dict[str, Any]]:
        after: int | None = 0
        epochs = set()
        while after is not None:
            part: dict[str, Any] = json.loads(await self._part(conversation_id, "json", after))
            epochs.add(part["epoch"])
            if len(epochs) > 1:
                raise CopilotEdgeError("The conversation was cleared.", "conversation_cleared")
            yield part
            after = part["nextAfter"]

    async def _part(self, conversation_id: str, form: Form, after: int) -> str:
        query = {"format": form} | ({"after": str(after)} if after else {})
        answer = await self._get(f"conversation/{quote(conversation_id, safe='')}/export", query)
        return answer.text

    async def _get(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        try:
            answer = await self._http.get(path, params=dict(query))
        except httpx.HTTPError as exc:
            raise CopilotEdgeError("The server cannot be reached.", "not_connected") from exc
        if answer.is_error:
            raise _error_of(answer)
        return answer


def _error_of(answer: httpx.Response) -> CopilotEdgeError:
    try:
        error = answer.json()["error"]
        message, code = str(error["message"]), str(error["code"])
    except (ValueError, KeyError, TypeError):
        message, code = f"The server answered {answer.status_code}.", "http_error"
    retry_after = answer.headers.get("retry-after", "")
    return CopilotEdgeError(message, code, float(retry_after) if retry_after.isdigit() else None)
