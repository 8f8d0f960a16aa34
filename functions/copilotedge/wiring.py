"""The one place where the parts are put together. Parts are made when first used, once a cold start."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import cache, cached_property
from typing import Any, TypeVar, cast

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config

from copilotedge.adapters.api_gateway import WebSocketGateway
from copilotedge.adapters.dynamodb import DynamoDBStore
from copilotedge.adapters.lambdas import TurnWorker
from copilotedge.conversations import Conversations
from copilotedge.ports import ConversationStore, Gateway, Log, Model, Waker
from copilotedge.replies import Replies
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets
from copilotedge.transitions import Rules
from copilotedge.turns import TurnRunner

THREADS = 32
"""Posts to sockets that may be under way at once, and as many other AWS calls."""

_Result = TypeVar("_Result")


class Application:
    """Everything that a handler may need, and the event loop that it runs on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(THREADS))
        self._resources = AsyncExitStack()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        """Only tests end an application; Lambda just stops."""
        self.run(self._resources.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.close()

    @cached_property
    def log(self) -> Log:
        return StructuredLog()

    @cached_property
    def store(self) -> ConversationStore:
        client = boto3.client("dynamodb", config=_config(read_timeout=4, attempts=4))
        return DynamoDBStore(client, self.settings.table_name, self.settings.max_stored_messages, now)

    @cached_property
    def waker(self) -> Waker:
        client = boto3.client("lambda", config=_config(read_timeout=5, attempts=3))
        return TurnWorker(client, self.settings.turn_worker_function)

    @cached_property
    def gateway(self) -> Gateway:
        endpoint = self.settings.websocket_endpoint
        client = boto3.client(
            "apigatewaymanagementapi", endpoint_url=endpoint, config=_config(read_timeout=5, attempts=1)
        )
        return WebSocketGateway(client, ThreadPoolExecutor(THREADS))

    @cached_property
    def model(self) -> Model:
        import httpx  # only the functions that call the model pay for it

        from copilotedge.adapters.secrets_manager import Secret
        from copilotedge.adapters.workers_ai import WorkersAi

        client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None))
        self._resources.push_async_callback(client.aclose)
        secrets = boto3.client("secretsmanager", config=_config(read_timeout=5, attempts=3))
        return WorkersAi(
            client,
            base_url=self.settings.workers_ai_base_url,
            api_token=Secret(secrets, self.settings.api_token_secret_arn),
            log=self.log,
            endpoint="run" if self.settings.model_endpoint == "run" else "chat-completions",
            fallback_model=self.settings.fallback_model,
            max_tries=self.settings.model_max_tries,
            timeout_seconds=self.settings.model_timeout_seconds,
        )

    @cached_property
    def rules(self) -> Rules:
        return Rules(
            inactivity_ms=self.settings.inactivity_ms,
            lease_ms=self.settings.lease_ms,
            max_queued=self.settings.max_queued_messages,
            max_stored=self.settings.max_stored_messages,
            max_attempts=self.settings.max_attempts,
        )

    @cached_property
    def conversations(self) -> Conversations:
        return Conversations(self.store, self.waker, self.rules, self.settings.snapshot_messages, now, self.log)

    @cached_property
    def runner(self) -> TurnRunner:
        return TurnRunner(self.store, self.model, self.gateway, self.waker, self.settings, self.rules, now, self.log)

    @cached_property
    def replies(self) -> Replies:
        return Replies(self.conversations, self.runner, self.model, self.settings, now)

    @cached_property
    def sockets(self) -> Sockets:
        return Sockets(self.conversations, self.store, self.gateway, self.settings, now, self.log)


class StructuredLog:
    """Implements ``ports.Log`` with Powertools' JSON logger."""

    def __init__(self) -> None:
        self._logger = Logger(service="copilotedge")

    def info(self, event: str, **fields: Any) -> None:
        self._logger.info(event, **cast("Any", fields))

    def error(self, event: str, **fields: Any) -> None:
        self._logger.error(event, **cast("Any", fields))


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@cache
def application() -> Application:
    """The application of this execution environment."""
    return Application(Settings.from_environment(os.environ))


def _config(read_timeout: int, attempts: int) -> Config:
    return Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=THREADS,
    )
