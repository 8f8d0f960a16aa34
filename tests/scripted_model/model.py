"""The test's side: scripts, rules and the log of requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.scripted_model.replies import Outcome, Reply, Request, Rule, echo
from tests.scripted_model.server import Server


class ScriptedModel:
    """The server. ``default`` answers what neither rule nor script does, and may be set."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.default: Callable[[Request], Reply] = echo
        self._changed = threading.Condition(threading.RLock())
        self._rules: list[Rule] = []
        self._script: deque[Reply] = deque()
        self._requests: list[Request] = []
        self._server = Server(self)

    @property
    def base_url(self) -> str:
        """Goes where ``https://api.cloudflare.com/client/v4/accounts/{account_id}/ai`` would."""
        return f"http://127.0.0.1:{self.port}/client/v4/accounts/test/ai"

    @property
    def requests(self) -> list[Request]:
        """All since the last reset, in order of arrival."""
        with self._changed:
            return list(self._requests)

    def start(self) -> Self:
        """Listens when it returns. Raises ``OSError`` where the port is taken."""
        self.port = self._server.start(self.port)
        return self

    def stop(self) -> None:
        """Ends open answers and frees the port."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def script(self, *replies: Reply) -> None:
        """Appends to the replies for the next requests that no rule wants."""
        with self._changed:
            self._script.extend(replies)

    def when(self, rule: Rule) -> None:
        """Asks ``rule`` for a reply to each request, after the rules set before; None leaves it to the others."""
        with self._changed:
            self._rules.append(rule)

    def when_asked(self, text: str, *replies: Reply) -> None:
        """A script of its own for the requests whose last user message holds ``text``."""
        script = deque(replies)
        self.when(lambda request: script.popleft() if script and text in request.last_user_message else None)

    def reset(self) -> None:
        """Forgets script, rules, requests and default. Answers under way go on, unlogged."""
        with self._changed:
            self.default = echo
            self._rules.clear()
            self._script.clear()
            self._requests.clear()

    def wait_for_requests(self, n: int, timeout: float = 30.0) -> list[Request]:
        """The requests, once there are ``n`` or more. Raises ``TimeoutError``."""
        return self.wait_until(lambda requests: len(requests) >= n, timeout)

    def wait_for_outcomes(self, n: int, timeout: float = 30.0) -> list[Request]:
        """The requests that ended, once there are ``n`` or more. Raises ``TimeoutError``."""
        return [
            each
            for each in self.wait_until(lambda all_: sum(bool(r.outcome) for r in all_) >= n, timeout)
            if each.outcome
        ]

    def wait_until(self, condition: Callable[[list[Request]], bool], timeout: float = 30.0) -> list[Request]:
        """The requests, once ``condition`` holds; it is asked whenever one comes, ends or gets a chunk."""
        with self._changed:
            if self._changed.wait_for(lambda: condition(list(self._requests)), timeout):
                return list(self._requests)
            raise TimeoutError(f"not within {timeout} s; requests: {self._requests}")

    def take(self, request: Request) -> Reply:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            wanted = next(filter(None, (rule(request) for rule in self._rules)), None)
            return wanted or (self._script.popleft() if self._script else self.default(request))

    def note_chunk(self, request: Request) -> None:
        with self._changed:
            request.chunks_sent += 1
            self._changed.notify_all()

    def note_end(self, request: Request, outcome: Outcome) -> None:
        with self._changed:
            if not request.outcome:
                request.outcome, request.ended_at = outcome, time.time()
                self._changed.notify_all()
