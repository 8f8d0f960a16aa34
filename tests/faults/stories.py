"""A story that a model tells, up to a word at which something happens."""

from __future__ import annotations

import threading

from tests.clients import Socket, is_status, text_of
from tests.scripted_model import Reply
from tests.stack import DeployedStack

STORY = [f"word{n} " for n in range(12)]
TEXT = "".join(STORY)


def held_after(chunks: int) -> Reply:
    """Says so many words of the story and then nothing more."""
    return Reply(chunks=STORY, gate=threading.Event(), gate_after=chunks)


def wait_for_words(stack: DeployedStack, socket: Socket, chunks: int) -> None:
    """Until the model has said so many words, and the client has them all."""
    if chunks == 0:
        stack.model.wait_for_requests(1, timeout=60)
        socket.receive_until(is_status("thinking"), seconds=60)
        return
    start, wanted = len(socket.frames), "".join(STORY[:chunks])
    socket.receive_until(lambda _: text_of(socket.frames[start:]) == wanted, seconds=60)
