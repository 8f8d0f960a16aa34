"""The REST routes that go with conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from copilotedge_client.errors import CopilotEdgeError

Form = Literal["json", "markdown"]

PATIENCE_SECONDS = 30


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
        answer = await self._get(f"conversation/{quote(conversation_id, safe='')}/export", {"format": form})
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
