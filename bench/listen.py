"""Sockets of one conversation in a process of their own, so that listening takes nobody else's time.

``python -m bench.listen`` reads JSON lines: first ``{"url", "token", "conversation", "sockets"}``, then what the first
socket is to send. For each of these it writes a line with what all sockets heard (``Heard``), once each has heard the
end. ``Listeners`` is the other side.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from websockets.asyncio.client import ClientConnection, connect

CHECKOUT = Path(__file__).resolve().parent.parent
AT_ONCE = 3
"""Sockets that connect at the same time: a crowd at the door would have the emulator start a process for each."""
LEAVE_SECONDS = 0.1
"""Between two sockets that go, for the same reason."""
ENDS = ("complete", "cancelled", "failed")
PATIENCE = 900.0
"""Seconds; longer than any answer."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one socket: ``deltas`` as (when, offset, length), the text they make, the answer, and when its turn ended.

    Times are in seconds since the epoch.
    """

    deltas: list[tuple[float, int, int]]
    text: str
    answer: str
    ended: float
    frames: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one message: when it was sent, and what each socket heard."""

    sent: float
    sockets: list[Heard]


class Listeners:
    """Sockets in a child process. Raises ``RuntimeError`` where the child breaks down."""

    def __init__(self, url: str, token: str, conversation: str, sockets: int = 1) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "bench.listen"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._in, self._out = cast("IO[str]", self._child.stdin), cast("IO[str]", self._child.stdout)
        self._write({"url": url, "token": token, "conversation": conversation, "sockets": sockets})
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._child.kill()
        self._child.communicate()

    def say(self, content: str) -> Turn:
        """A message and its whole turn."""
        self.begin(content)
        return self.end()

    def begin(self, content: str) -> None:
        """A message; ``end`` waits for its turn."""
        self._write({"type": "chat", "role": "user", "content": content})

    def end(self) -> Turn:
        told = self._read()
        return Turn(told["sent"], [Heard(**one) for one in told["sockets"]])

    def ping(self) -> float:
        """Seconds until the answer to a ping is there."""
        self._write({"type": "system", "content": "ping"})
        told = self._read()
        return float(told["sockets"][0]["ended"] - told["sent"])

    def _write(self, value: dict[str, Any]) -> None:
        self._in.write(json.dumps(value) + "\n")
        self._in.flush()

    def _read(self) -> dict[str, Any]:
        line = self._out.readline()
        if not line:
            raise RuntimeError(f"The listeners ended with status {self._child.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


# --- The child -------------------------------------------------------------------------------------------------------


async def listen(asked: dict[str, Any]) -> None:
    door = asyncio.Semaphore(AT_ONCE)

    async def enter() -> ClientConnection:
        async with door:
            return await connect(
                f"{asked['url']}?conversationId={asked['conversation']}",
                additional_headers={"authorization": f"Bearer {asked['token']}"},
                proxy=None,
                open_timeout=60,
                ping_interval=None,
                compression=None,
            )

    sockets = await asyncio.gather(*(enter() for _ in range(asked["sockets"])))
    tell({"ready": len(sockets)})
    while line := await asyncio.to_thread(sys.stdin.readline):
        hears = sockets if json.loads(line)["type"] == "chat" else sockets[:1]
        hearing = [asyncio.create_task(hear(socket)) for socket in hears]
        sent = time.time()
        await sockets[0].send(line)
        async with asyncio.timeout(PATIENCE):
            tell({"sent": sent, "sockets": await asyncio.gather(*hearing)})
    for socket in sockets:
        await socket.close()
        await asyncio.sleep(LEAVE_SECONDS)


async def hear(socket: ClientConnection) -> dict[str, Any]:
    """Until the turn's end, or the answer to a ping. Raises ``RuntimeError`` for an error frame."""
    deltas: list[tuple[float, int, int]] = []
    pieces: list[str] = []
    answer, frames = "", 0
    while True:
        data = await socket.recv()
        now, frame = time.time(), json.loads(data)
        frames += 1
        if frame["type"] == "delta":
            deltas.append((now, frame["metadata"]["offset"], len(frame["content"])))
            pieces.append(frame["content"])
        elif frame["type"] == "chat" and frame["role"] == "assistant":
            answer += frame["content"]
        elif frame["type"] == "error":
            raise RuntimeError(frame["code"])
        elif frame["type"] == "system" or (frame["type"] == "status" and frame["status"] in ENDS):
            return {"deltas": deltas, "text": "".join(pieces), "answer": answer, "ended": now, "frames": frames}


def tell(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(listen(json.loads(sys.stdin.readline())))
