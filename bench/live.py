"""What is measured on the local stack: the real template, deployed, with a scripted model behind it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.listen import Listeners
from bench.pace import TimedModel
from local.stack import Stack
from tests.clients import bearer
from tests.scripted_model import Reply
from tests.stack import BUILD, DeployedStack, worker_processes


@dataclass
class Live:
    """The stack, and who measures it."""

    stack: DeployedStack
    model: TimedModel
    directory: Path
    client: httpx.Client = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.client = httpx.Client(headers=bearer(self.stack.token()), timeout=60, trust_env=False)

    def question(self, reply: Reply) -> str:
        """A question like no other, which the model answers so."""
        text = f"Question {next(self._numbers)}?"
        self.model.when(lambda request: reply if request.last_user_message == text else None)
        return text

    def listeners(self, conversation: str, sockets: int = 1) -> Listeners:
        return Listeners(self.stack.websocket_url, self.stack.token(), conversation, sockets)

    def pids(self, function: str) -> set[int]:
        """Processes of a function."""
        if function == "stream-api":
            return {int((self.directory / "stream-api.pid").read_text())}
        return set(worker_processes(self.directory, self.stack.function_name(function)))


@contextmanager
def live(directory: Path) -> Iterator[Live]:
    """A stack of its own, with MiniStack as ``make run`` has it."""
    local = Stack(directory, build=BUILD, preferred_ports={})
    with TimedModel() as model:
        try:
            deployed = DeployedStack(local, model, RateLimitPerMinute="60000", MaxSocketsPerUser="1000")
            on = Live(deployed, model, directory)
            with on.client:
                yield on
        finally:
            local.down()
