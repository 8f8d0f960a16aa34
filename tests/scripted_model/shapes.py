"""Cloudflare's JSON and event stream shapes for both endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.scripted_model.replies import Call, Reply, Request


def error(openai: bool, code: int | str | None, message: str) -> bytes:
    if openai:
        return _json({"error": {"message": message, "type": "scripted", "param": None, "code": code}})
    return _json({"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []})


def whole(request: Request, reply: Reply) -> bytes:
    text, usage = "".join(reply.pieces), _usage(reply)
    if request.is_run:
        result = {"response": text, **_run_calls(reply), **usage}
        return _json({"result": result, "success": True, "errors": [], "messages": []})
    message = {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": reply.reasoning} if reply.reasoning else {}),
        **({"tool_calls": [_call(call, call.arguments) for call in reply.calls]} if reply.calls else {}),
    }
    choice = {"index": 0, "message": message, "finish_reason": reply.end}
    return _json({**_completion(request, ""), "choices": [choice], **usage})


def opening(request: Request, reply: Reply) -> Iterator[bytes]:
    if not request.is_run:
        yield _chunk(request, {"role": "assistant", "content": ""})
        if reply.reasoning:
            yield _chunk(request, {"reasoning_content": reply.reasoning, "content": None})
    if reply.bad_json:
        yield event(b'{"response": "cut sho')


def text_frame(request: Request, text: str) -> bytes:
    if request.is_run:
        return event(_json({"response": text, "p": "abcdefghij"[: 1 + len(text) % 10]}))
    return _chunk(request, {"content": text})


def closing(request: Request, reply: Reply) -> Iterator[bytes]:
    if request.is_run:
        yield event(_json({"response": "", **_run_calls(reply), **_usage(reply)}))
    else:
        for index, call in enumerate(reply.calls):
            yield _chunk(request, {"tool_calls": [{"index": index, **_call(call, "")}]})
            for piece in call.pieces:
                yield _chunk(request, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield _chunk(request, {}, finish_reason=reply.end)
        if reply.usage and request.body.get("stream_options", {}).get("include_usage"):
            yield event(_json({**_completion(request, ".chunk"), "choices": [], **_usage(reply)}))
    if reply.done:
        yield event(b"[DONE]")


def _call(call: Call, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _run_calls(reply: Reply) -> dict[str, Any]:
    """Workers AI's own shape: arguments as an object, and no ids."""
    calls = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in reply.calls]
    return {"tool_calls": calls} if calls else {}


def _chunk(request: Request, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event(_json({**_completion(request, ".chunk"), "choices": [choice]}))


def _completion(request: Request, suffix: str) -> dict[str, Any]:
    return {"id": "id-1", "object": f"chat.completion{suffix}", "created": 1, "model": request.model}


def _usage(reply: Reply) -> dict[str, Any]:
    if reply.usage is None:
        return {}
    prompt, completion = reply.usage
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
