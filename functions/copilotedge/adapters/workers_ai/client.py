"""The model calls themselves: one HTTP request a try, read as it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Protocol

import httpx

from copilotedge import correlation
from copilotedge.adapters.workers_ai import endpoints, failures
from copilotedge.adapters.workers_ai.answers import Answer
from copilotedge.adapters.workers_ai.attempts import Attempts
from copilotedge.adapters.workers_ai.endpoints import Endpoint
from copilotedge.errors import ModelError
from copilotedge.models import Finished, ModelEvent, ModelRequest
from copilotedge.ports import Log
from copilotedge.sse import EventParser

_LINGER_SECONDS = 0.1


class ApiToken(Protocol):
    """Gives the API token, read lazily. ``refresh``: the last one was refused, read it anew."""

    async def __call__(self, *, refresh: bool = False) -> str: ...


class WorkersAi:
    """A ``Model`` behind the Workers AI REST API or any OpenAI-compatible one.

    ``base_url`` is all before ``/v1/chat/completions`` or ``/run/{model}``. ``timeout_seconds`` bounds each silence:
    connecting, before the first token, between two tokens; not the whole answer. ``max_tries`` counts per model.
    ``fallback_model`` ("": none) is asked when the requested one does not exist, or stays out of reach to the last try.
    The client stays the caller's to close.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        api_token: ApiToken,
        log: Log,
        endpoint: Endpoint = "chat-completions",
        fallback_model: str = "",
        max_tries: int = 3,
        timeout_seconds: float = 30.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._base_url = base_url
        self._api_token = api_token
        self._log = log
        self._endpoint = endpoint
        self._fallback_model = fallback_model
        self._max_tries = max_tries
        self._timeout = httpx.Timeout(timeout_seconds)
        self._sleep = sleep
        self._random = random

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """See ``Model.stream``. Raises ``ModelInterrupted`` for what goes wrong after the first ``TextDelta``.

        Before it, the ``ModelError`` of the model that was asked for. What ``api_token`` raises passes through.
        """
        attempts = Attempts(request.model, self._fallback_model, self._max_tries, self._random)
        while True:
            model = attempts.model
            try:
                async with aclosing(self._call(request, model)) as events:
                    async for event in events:
                        attempts.began = True
                        yield event
            except ModelError as failure:
                wait = attempts.wait_after(failure)
                self._log_failed_try(failure, model, wait)
            else:
                return
            await self._sleep(wait)

    async def _call(self, request: ModelRequest, model: str) -> AsyncGenerator[ModelEvent, None]:
        answer = Answer()
        with failures.translated():
            async with self._post(request, model) as response, aclosing(_payloads(response)) as payloads:
                async for payload in payloads:
                    for delta in answer.take(payload):
                        yield delta
                    if answer.done:
                        await _linger(payloads)
                        break
        self._log_skipped(answer, model)
        if not answer.began:
            raise failures.no_answer("the reply held no payload")
        yield Finished(answer.usage, model, answer.finish_reason)

    @asynccontextmanager
    async def _post(self, request: ModelRequest, model: str) -> AsyncIterator[httpx.Response]:
        """A reply to read from; HTTP errors raise. A refused token is read anew, once."""
        token = await self._api_token()
        response = await self._send(request, model, token)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            await response.aclose()
            response = await self._send(request, model, await self._api_token(refresh=True))
        try:
            if not response.is_success:
                raise failures.from_response(response.status_code, response.headers, await response.aread())
            yield response
        finally:
            await response.aclose()

    async def _send(self, request: ModelRequest, model: str, token: str) -> httpx.Response:
        # A compressed stream may be held back until the compressor's block is full.
        headers = {"authorization": f"Bearer {token.strip()}", "accept-encoding": "identity"}
        headers |= correlation.headers_to_model()
        url = endpoints.url(self._endpoint, self._base_url, model)
        body = endpoints.body(self._endpoint, request, model)
        call = self._client.build_request("POST", url, headers=headers, json=body, timeout=self._timeout)
        return await self._client.send(call, stream=True)

    def _log_failed_try(self, failure: ModelError, model: str, wait: float) -> None:
        fields = {"model": endpoints.shown(model), "code": failure.code, "detail": failure.detail}
        self._log.info("model_try_failed", **fields, wait_seconds=wait)

    def _log_skipped(self, answer: Answer, model: str) -> None:
        if answer.skipped:
            self._log.info("model_payloads_skipped", model=endpoints.shown(model), count=answer.skipped)


async def _payloads(response: httpx.Response) -> AsyncGenerator[str, None]:
    """Data of each server-sent event; the whole body where the server chose to send plain JSON."""
    if "json" in response.headers.get("content-type", ""):
        yield (await response.aread()).decode("utf-8", "replace")
        return
    parser = EventParser()
    async for chunk in response.aiter_bytes():
        for data in parser.feed(chunk):
            yield data
    for data in parser.close():
        yield data


async def _linger(payloads: AsyncIterator[str]) -> None:
    """Read to the end of a body that is as good as over: then the connection serves the next call as well."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_LINGER_SECONDS):
            async for _ in payloads:
                pass
