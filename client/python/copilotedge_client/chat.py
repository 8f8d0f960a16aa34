"""A conversation, as its users see it."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import CloseCode
from websockets.uri import parse_uri

from copilotedge_client.answers import Answer
from copilotedge_client.asking import Commands, Readings
from copilotedge_client.errors import CopilotEdgeError, closed, error_of, too_large
from copilotedge_client.line import Line, State, backoff, dump
from copilotedge_client.messages import Frame, Message, Page
from copilotedge_client.transcript import Transcript
from copilotedge_client.waits import Wait, Waits

Token = str | Callable[[int], str | Awaitable[str]]
Event = Literal["message", "delta", "status", "cleared", "titled", "connection", "error"]

RESEND_AFTER = 20.0  # all times are in seconds; an unacknowledged message is sent again, and its id keeps it single
RESUME_AGAIN_AFTER = 15.0
RESUME_PAUSE = 2.0
MOST_VAIN = 3  # tries to connect before somebody is told

_NO_TOKEN = re.compile(r"token_(missing|invalid|expired|not_yet_valid)")
_UNREADABLE = re.compile(r"invalid_.*|.*_too_large")
"""Refusals of a frame whose id the server could not read."""


def connect(
    url: str,
    conversation_id: str,
    token: Token | None = None,
    *,
    history: int = 50,
    patience: float = 60,
    backoff: Callable[[int], float] = backoff,
) -> Chat:
    """A conversation, to be used as ``async with connect(...) as chat``.

    ``url`` is the WebSocket API's: ``wss://.../live``. ``token`` is the access token, or who knows it: a function,
    asynchronous or not, that is asked before each connection, with the number of those that failed since the last
    good one. ``history`` is how many of the newest messages to begin with. A message that is refused "for so many
    seconds", ``patience`` at most, is sent again by itself. ``backoff`` gives the seconds until the next try.
    """
    return Chat(url, conversation_id, token, history=history, patience=patience, backoff=backoff)


class Chat:
    """A conversation that survives its connections. Made by ``connect``."""

    def __init__(
        self,
        url: str,
        conversation_id: str,
        token: Token | None = None,
        *,
        history: int = 50,
        patience: float = 60,
        backoff: Callable[[int], float] = backoff,
    ) -> None:
        self.transcript = Transcript(patience)
        self._url = url
        self._conversation_id = conversation_id
        self._token = token
        self._history = history
        self._patience = patience
        self._line = Line(self, backoff)
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}
        self._waits = Waits(self.transcript)
        self._commands = Commands(self._line.send)
        self._readings = Readings(self._line.send, self.transcript)
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = False  # the first page is under way
        self._end: CopilotEdgeError | None = None
        self._sent: tuple[str, float] = ("", 0.0)
        self._held_until = 0.0  # the server asked us to wait
        self._resumed_at = 0.0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._resume_timer: asyncio.TimerHandle | None = None
        self._ready = asyncio.Event()

    # --- for everybody ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def open(self) -> None:
        self._line.open()

    async def close(self) -> None:
        """End it for good; open answers fail with the code ``closed``. The server goes on with them."""
        self._finish(closed())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._line.close()

    async def ready(self) -> None:
        """Return once the newest messages are there. Raises ``CopilotEdgeError`` if the server refuses us."""
        await self._ready.wait()
        if self._end is not None:
            raise self._end

    @property
    def connection(self) -> State:
        return self._line.state

    @property
    def messages(self) -> list[Message]:
        """The log as far as it is known, in order."""
        return self.transcript.messages

    def on(self, event: Event, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Call ``listener`` whenever that happens; the result ends it.

        It gets a ``Message``, the text of a delta, a status frame's metadata with ``status``, the new epoch, the title,
        the connection's state, or a ``CopilotEdgeError``.
        """
        listeners = self._listeners.setdefault(event, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def send(self, text: str, *, message_id: str = "") -> Answer:
        """Ask. With an id of one's own the same question may be sent again, from anywhere, and is answered once."""
        message_id = message_id or str(uuid.uuid4())
        wait = Wait(Answer(message_id, lambda answer: self.cancel(answer.id)))
        answer = self._expect(wait)
        if self._end is not None:
            return answer
        try:
            dump(_question(message_id, text))
        except CopilotEdgeError:
            self._waits.fail(wait, too_large(message_id))
            return answer
        self.transcript.discard(message_id)  # a refused one is tried again
        self.transcript.compose(message_id, text)
        self._settle()
        return answer

    def cancel(self, message_id: str = "") -> None:
        """Stop the running answer, or that of one message; one that still waits is taken back."""
        turn = self.transcript.turn
        message_id = message_id or (turn.message_id if turn else "")
        waiting = next((message for message in self.transcript.pending if message.id == message_id), None)
        self.transcript.discard(message_id)
        if waiting and not waiting.acknowledged and waiting.id != self._sent[0]:
            self._waits.give_up(waiting.id)
        elif message_id and self._end is None:
            self._commands.ask("cancel", {"messageId": message_id}, lambda: not self._is_open(message_id))
        elif turn and self._end is None:
            self._commands.ask("cancel", {}, lambda: self.transcript.turn is not turn)
        self._settle()

    def regenerate(self) -> Answer:
        """Answer the last question once more; the new answer takes the old one's place."""
        wait = Wait(Answer("", lambda answer: self.cancel(answer.id)), renewed=True)
        self._expect(wait)
        self._spawn(self._ask_again(wait))
        return wait.answer

    async def clear(self) -> None:
        """Forget all messages, for everybody. Raises ``CopilotEdgeError``."""
        lives = self.transcript.lives
        await self._command("clear_history", lambda: self.transcript.lives != lives)

    async def history(self, limit: int = 0, before: int = 0) -> Page:
        """A page of the newest messages, or of those before a seq. Raises ``CopilotEdgeError``."""
        if self._end is not None:
            raise self._end
        page = await self._readings.read(limit or self._history, before)
        if before and before == self.transcript.oldest_seq:
            self.transcript.load(page, older=True)
        return page

    def _emit(self, event: Event, detail: Any) -> None:
        for listener in list(self._listeners.get(event, ())):
            asyncio.get_running_loop().call_soon(listener, detail)  # what it raises is its own matter

    # --- the line's listener ------------------------------------------------------------------------------------------

    async def token(self, vain: int) -> str | None:
        if self._end is not None:
            raise self._end
        if vain == MOST_VAIN:
            self._emit("error", CopilotEdgeError("No connection comes about. Trying again.", "no_connection"))
        [known] = await asyncio.gather(_known(self._token, vain), return_exceptions=True)
        if isinstance(known, BaseException):  # whatever it is: the next time there may be one
            self._emit("error", CopilotEdgeError(f"There is no access token: {known!r}", "not_connected"))
            raise ConnectionError from known
        return known

    async def dial(self, token: str | None) -> ClientConnection:
        if self._end is not None:
            raise self._end
        address = _address(self._url, self._conversation_id)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return await dial(
                address, additional_headers=headers, ping_interval=None, close_timeout=1, open_timeout=None
            )
        except InvalidStatus as exc:
            self._refuse(exc.response.status_code)
            raise

    def _refuse(self, status: int) -> None:
        """Raises ``CopilotEdgeError`` where trying again makes no sense."""
        if status == HTTPStatus.UNAUTHORIZED and callable(self._token):
            return
        if status in _REFUSALS:
            raise CopilotEdgeError(*_REFUSALS[HTTPStatus(status)])

    def busy(self) -> bool:
        return self.transcript.turn is not None or bool(self.transcript.pending)

    def changed(self, state: State) -> None:
        self._emit("connection", state)

    def lost(self, code: int | None) -> None:
        """What the gateway does not take it would not take the next time either."""
        pending = self.transcript.next_to_send()
        if code == CloseCode.MESSAGE_TOO_BIG and pending and pending.id == self._sent[0]:
            error = too_large(pending.id)
            about = {"messageId": pending.id}
            self.received({"type": "error", "error": error.message, "code": error.code, "metadata": about})

    def refused(self, error: CopilotEdgeError) -> None:
        if self._end is None:
            self._emit("error", error)
        self._finish(error)

    def opened(self) -> None:
        self._sent = ("", 0.0)
        self.transcript.reconnected()
        self._commands.reconnected()
        self._readings.ask()
        self._resume()
        self._settle()

    def received(self, frame: Frame) -> None:
        metadata = frame["metadata"] = frame.get("metadata") or {}
        news = frame.get("content") if frame.get("type") == "system" else ""
        turn = self.transcript.turn
        if _NO_TOKEN.fullmatch(str(frame.get("code"))):
            self._lock(error_of(frame))
            return
        if news == "history":
            self._readings.receive(metadata)
            return
        if frame.get("type") == "error":
            self._refused(frame, metadata)
        elif "type" not in frame and "message" in frame:  # API Gateway's own words
            self._emit("error", CopilotEdgeError(str(frame["message"]), "gateway_error"))
        self._learn(frame, metadata)
        if news == "resumed":
            self._waits.caught_up(metadata.get("turnId") or "")
            self._ready.set()
        if news == "resumed" or (turn is not None and self.transcript.turn is None and not self.transcript.syncing):
            self._commands.repeat()
        if self.transcript.needs_resume and not self.transcript.syncing:
            self._resume_soon()
        self._settle()

    # --- catching up --------------------------------------------------------------------------------------------------

    def _learn(self, frame: Frame, metadata: Mapping[str, Any]) -> None:
        turn, lives = self.transcript.turn, self.transcript.lives
        length = len(turn.text) if turn else 0
        sent = self.transcript.next_to_send()
        message = self.transcript.receive(frame)
        taken = frame.get("type") != "error" and self.transcript.next_to_send() is not sent
        self._waits.assign(frame, metadata)
        if self.transcript.lives != lives:
            self._waits.cleared()
            self._emit("cleared", self.transcript.epoch)
        grown = self.transcript.turn
        fresh = grown.text[length if grown is turn else 0 :] if grown else ""
        if fresh:
            self._emit("delta", fresh)
        if taken or message is not None or fresh:  # this socket has brought us forward
            self._line.prove()
        if frame.get("type") == "status":
            self._emit("status", {**metadata, "status": frame["status"]})
        elif frame.get("content") == "titled" and frame.get("type") == "system":
            self._emit("titled", self.transcript.title)
        if message is not None:
            self._emit("message", message)

    def _resume_soon(self) -> None:
        wait = max(0.0, self._resumed_at + RESUME_PAUSE - time.monotonic())
        self._resume_timer = _later(self._resume_timer, wait, self._resume)

    def _resume(self) -> None:
        """Ask for what was missed, until it is there. Who knows nothing yet begins with the newest page."""
        if not self._line.connected:
            return
        self._resumed_at = time.monotonic()
        self._resume_timer = _later(self._resume_timer, RESUME_AGAIN_AFTER, self._resume_again)
        if self.transcript.epoch is None:
            self.transcript.syncing = True
            if not self._beginning:
                self._spawn(self._begin())
            return
        self._waits.doubt()
        self._line.send(self.transcript.resume_request())

    def _resume_again(self) -> None:
        if self.transcript.syncing:
            self._readings.ask()
            self._resume()

    async def _begin(self) -> None:
        self._beginning = True
        try:
            self.transcript.load(await self.history())
        except CopilotEdgeError:  # it was told as an error, and is tried again
            return
        finally:
            self._beginning = False
        self._resume()

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _command(self, content: str, done: Callable[[], bool]) -> None:
        if self._end is not None:
            raise self._end
        await self._commands.ask(content, {}, done)

    async def _ask_again(self, wait: Wait) -> None:
        try:
            await self.ready()
            self._waits.ask_about(wait)
            await self._command("regenerate", lambda: wait.answer.turn_id != "" or wait.answer.is_over)
        except CopilotEdgeError as exc:
            self._waits.fail(wait, exc)

    def _expect(self, wait: Wait) -> Answer:
        self._waits.add(wait)
        if self._end is not None:
            self._waits.fail(wait, self._end)
        return wait.answer

    def _is_open(self, message_id: str) -> bool:
        turn = self.transcript.turn
        return (turn is not None and turn.message_id == message_id) or self._waits.is_open(message_id)

    # --- refusals and delivery ----------------------------------------------------------------------------------------

    def _refused(self, frame: Frame, metadata: dict[str, Any]) -> None:
        code, pending = str(frame.get("code")), self.transcript.next_to_send()
        if "messageId" not in metadata and pending and _UNREADABLE.fullmatch(code):
            metadata["messageId"] = pending.id
        message_id = metadata.get("messageId", "")
        if code == "turn_running" and self._commands.postpone(message_id):
            if self.transcript.turn is None:  # it may have ended meanwhile
                self.transcript.needs_resume = True
            return
        error = error_of(frame, message_id)
        known = self._commands.refuse(message_id, error) or self._readings.refuse(message_id, error)
        if code == "nothing_to_cancel":  # it ended by itself just before
            return
        if not known:
            self._blame(error, metadata.get("turnId", ""))
        self._emit("error", error)

    def _blame(self, error: CopilotEdgeError, turn_id: str) -> None:
        """An error speaks of a question, or of the turn that answers it."""
        soon = error.retry_after is not None and error.retry_after <= self._patience
        if soon and not turn_id:
            self._held_until = time.monotonic() + (error.retry_after or 0)
        if error.message_id == self._sent[0]:
            self._sent = ("", 0.0)
        self._waits.blame(error, turn_id, final=not soon)

    def _lock(self, error: CopilotEdgeError) -> None:
        """The token is not good any more, and a function may know another one."""
        self._emit("error", error)
        if not callable(self._token):
            self._finish(error)
        self._line.drop()

    def _finish(self, error: CopilotEdgeError) -> None:
        if self._end is not None:
            return
        self._end = error
        for timer in (self._flush_timer, self._resume_timer):
            if timer is not None:
                timer.cancel()
        self._readings.end(error)
        self._commands.end(error)
        self._waits.fail_all(error)
        self._ready.set()

    def _settle(self) -> None:
        if self._end is not None:
            return
        self._waits.follow()
        self._commands.settle()
        self._flush()

    def _flush(self) -> None:
        pending = self.transcript.next_to_send()
        if pending is None or not self._line.connected:
            return
        sent_id, sent_at = self._sent
        due = max(sent_at + RESEND_AFTER if sent_id == pending.id else 0.0, self._held_until)
        wait = due - time.monotonic()
        if wait <= 0:
            self._sent = (pending.id, time.monotonic())
            self._line.send(_question(pending.id, pending.content))
        self._flush_timer = _later(self._flush_timer, wait if wait > 0 else RESEND_AFTER, self._flush)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_REFUSALS = {
    HTTPStatus.BAD_REQUEST: ("The conversation's id is malformed.", "invalid_conversation_id"),
    HTTPStatus.UNAUTHORIZED: ("The server does not accept the access token.", "token_invalid"),
    HTTPStatus.FORBIDDEN: ("The server does not let us in.", "conversations_disabled"),
    HTTPStatus.NOT_FOUND: ("There is no such conversation.", "not_found"),
}


async def _known(token: Token | None, vain: int) -> str | None:
    told = token(vain) if callable(token) else token
    return await told if inspect.isawaitable(told) else told


def _address(url: str, conversation_id: str) -> str:
    """Raises ``CopilotEdgeError`` where it is none."""
    try:
        parts = urlsplit(url)
        query = {**dict(parse_qsl(parts.query)), "conversationId": conversation_id}
        address = parts._replace(scheme=parts.scheme.replace("http", "ws"), query=urlencode(query)).geturl()
        parse_uri(address)
    except (InvalidURI, ValueError) as exc:
        raise CopilotEdgeError("The address is none of a WebSocket API.", "invalid_address") from exc
    return address


def _question(message_id: str, text: str) -> Frame:
    return {"type": "chat", "role": "user", "content": text, "id": message_id}


def _later(timer: asyncio.TimerHandle | None, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
    if timer is not None:
        timer.cancel()
    return asyncio.get_running_loop().call_later(seconds, act)
