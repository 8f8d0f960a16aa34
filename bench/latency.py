"""What we add to the model's time: from request to model call, and from the model's words to the client."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from bench.listen import Heard, Listeners
from bench.live import Live
from bench.pace import TOKEN, Paced, tokens
from tests.clients import new_conversation
from tests.scripted_model import Reply

WITHIN_SECONDS = 0.06
"""In which a delta but the first should be with its client."""
TURNS_A_CONVERSATION = 20
"""Then another one is begun: the emulator's queries read whole partitions."""
SPOKEN = 24
"""Tokens of an answer whose deltas are timed, at ``PACE`` a second."""
PACE = 60.0

Samples = dict[str, list[float]]
"""Seconds, by what was timed."""


def latency(on: Live, rounds: int) -> dict[str, Any]:
    """Rounds of one call of each kind, one after the other.

    ``percentiles`` are in ms; ``share_within`` is of the deltas but the first.
    """
    found: Samples = {}
    later: Samples = {"websocket": [], "stream": []}
    for start in range(0, rounds, TURNS_A_CONVERSATION):
        rest, spoken, streamed = (new_conversation(f"bench-{path}") for path in ("rest", "websocket", "stream"))
        with on.listeners(spoken) as socket:
            warm(on, rest, socket, streamed)
            for _ in range(min(TURNS_A_CONVERSATION, rounds - start)):
                add(found, "floor: GET /health of the HTTP API", get(on, f"{on.stack.http_url}/health"))
                add(found, "floor: GET /health of the stream API", get(on, f"{on.stack.stream_url}/health"))
                add(found, "floor: ping to pong of a socket", socket.ping())
                by_rest(on, rest, found)
                by_socket(on, socket, found, later["websocket"])
                by_stream(on, streamed, found, later["stream"])
    return {
        "rounds": rounds,
        "tokens_a_second": PACE,
        "ms": {name: summary(seconds) for name, seconds in found.items()},
        "percentiles": {name: percentiles(seconds) for name, seconds in found.items()},
        "share_within": {path: share(seconds, WITHIN_SECONDS) for path, seconds in later.items()},
        "within_ms": WITHIN_SECONDS * 1000,
    }


def warm(on: Live, rest: str, socket: Listeners, streamed: str) -> None:
    """One turn each that nobody times."""
    ignored: Samples = {}
    by_rest(on, rest, ignored)
    by_socket(on, socket, ignored, [])
    by_stream(on, streamed, ignored, [])


def get(on: Live, url: str) -> float:
    began = time.perf_counter()
    on.client.get(url).raise_for_status()
    return time.perf_counter() - began


def by_rest(on: Live, conversation: str, found: Samples) -> None:
    question = on.question(Reply(chunks=tokens(SPOKEN)))
    body = {"conversationId": conversation, "messages": [{"role": "user", "content": question}]}
    sent = time.time()
    on.client.post(f"{on.stack.http_url}/api/copilotedge", json=body).raise_for_status()
    answered = time.time()
    asked = on.model.asked(question)
    add(found, "REST: request to model call", asked.started_at - sent)
    add(found, "REST: end of the model's answer to response", answered - asked.ended_at)


def by_socket(on: Live, socket: Listeners, found: Samples, later: list[float]) -> None:
    question = on.question(Paced(tokens(SPOKEN), PACE))
    turn = socket.say(question)
    asked = on.model.asked(question)
    first, *others = delays(turn.sockets[0], on.model.said(asked))
    later += others
    add(found, "WebSocket: request to model call", asked.started_at - turn.sent)
    add(found, "WebSocket: first delta of the model to frame", first)
    add(found, "WebSocket: later delta of the model to frame", *others)
    add(found, "WebSocket: end of the model's answer to status complete", turn.sockets[0].ended - asked.ended_at)


def by_stream(on: Live, conversation: str, found: Samples, later: list[float]) -> None:
    question = on.question(Paced(tokens(SPOKEN), PACE))
    body = {
        "model": "@cf/meta/llama-3.1-8b-instruct",
        "messages": [{"role": "user", "content": question}],
        "metadata": {"conversationId": conversation},
        "stream": True,
    }
    pieces: list[tuple[float, str]] = []
    sent = time.time()
    with on.client.stream("POST", f"{on.stack.stream_url}/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            now = time.time()
            if line.startswith("data: {") and (text := said_in(line)):
                pieces.append((now, text))
    ended = time.time()
    asked = on.model.asked(question)
    first, *others = delays(as_heard(pieces, ended), on.model.said(asked))
    later += others
    add(found, "Stream API: request to model call", asked.started_at - sent)
    add(found, "Stream API: request to first words", pieces[0][0] - sent)
    add(found, "Stream API: first delta of the model to event", first)
    add(found, "Stream API: later delta of the model to event", *others)


def said_in(line: str) -> str:
    choices = json.loads(line.removeprefix("data: "))["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def as_heard(pieces: Sequence[tuple[float, str]], ended: float) -> Heard:
    """Events of a stream as what a socket would have heard."""
    offsets = itertools.accumulate((len(text) for _, text in pieces), initial=0)
    deltas = [(now, offset, len(text)) for (now, text), offset in zip(pieces, offsets, strict=False)]
    return Heard(deltas, "".join(text for _, text in pieces), "", ended, len(pieces))


def delays(heard: Heard, said: Sequence[float]) -> list[float]:
    """Seconds from each token's leaving the model to the arrival of the frame that has it."""
    arrivals: dict[int, float] = {}
    for now, offset, length in heard.deltas:
        for token in range(offset // TOKEN, math.ceil((offset + length) / TOKEN)):
            arrivals[token] = now
    return [arrivals[token] - when for token, when in enumerate(said)]


def add(found: Samples, name: str, *seconds: float) -> None:
    found.setdefault(name, []).extend(seconds)


def share(seconds: Sequence[float], most: float) -> float:
    return round(sum(one <= most for one in seconds) / len(seconds), 4)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """In ms."""
    return {"n": len(seconds), "p50": milliseconds(seconds, 0.5), "p99": milliseconds(seconds, 0.99)}


def percentiles(seconds: Sequence[float]) -> list[float]:
    """From the least to the most, in ms."""
    return [milliseconds(seconds, part / 100) for part in range(101)]


def milliseconds(seconds: Sequence[float], quantile: float) -> float:
    """By the nearest rank."""
    ordered = sorted(seconds)
    return round(ordered[max(0, math.ceil(quantile * len(ordered)) - 1)] * 1000, 1)
