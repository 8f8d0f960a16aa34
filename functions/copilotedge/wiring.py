"""The one place where the parts are put together. Parts are imported and made when first used, once a cold start.

So each function imports what its own requests need: the janitor no model, the turn worker no routes. What the first of
them needs is made before it comes (``start``): Lambda lends a function more processor for starting than for running.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from copilotedge.adapters import aws
from copilotedge.runtime import THREADS, Runtime, now
from copilotedge.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from copilotedge.caching import Caching
    from copilotedge.charges import Charges
    from copilotedge.conversations import Conversations
    from copilotedge.copilotkit.graphql_calls import GraphqlCalls
    from copilotedge.copilotkit.threads import Threads
    from copilotedge.door import Door
    from copilotedge.exports import Exports
    from copilotedge.holding import Holding
    from copilotedge.limits import Limits
    from copilotedge.openai.items import Items
    from copilotedge.openai.responses import Responses
    from copilotedge.ports import AnswerCache, ConversationStore, Gateway, Metrics, Model, UsageStore, Waker
    from copilotedge.prices import Prices
    from copilotedge.replies import Replies
    from copilotedge.sockets import Sockets
    from copilotedge.titles import Titles
    from copilotedge.transitions import Rules
    from copilotedge.turns import TurnRunner
    from copilotedge.users import Users

__all__ = ["Application", "application", "now"]


class Application(Runtime):
    """Everything that a handler may need; the authorizer has an ``entrance`` of its own."""

    @cached_property
    def prices(self) -> Prices:
        """Raises ``ValueError`` where the settings' price table is none."""
        from copilotedge.prices import Prices

        return Prices.published(self.settings.price_table)

    @cached_property
    def store(self) -> ConversationStore:
        from copilotedge.adapters.dynamodb.store import DynamoDBStore

        return DynamoDBStore(self._dynamodb, self.settings.table_name, self.settings.max_stored_messages, now)

    @cached_property
    def usage(self) -> UsageStore:
        from copilotedge.adapters.dynamodb.usage import DynamoDBUsage

        return DynamoDBUsage(self._dynamodb, self.settings.table_name, now)

    @cached_property
    def limits(self) -> Limits:
        from copilotedge.limits import Limits

        return Limits(self.usage, self.settings, now, self.metrics)

    @cached_property
    def answers(self) -> AnswerCache:
        from copilotedge.adapters.dynamodb.cache import DynamoDBAnswerCache

        return DynamoDBAnswerCache(self._dynamodb, self.settings.table_name, now)

    @cached_property
    def caching(self) -> Caching:
        from copilotedge.caching import Caching

        return Caching(self.answers, self.settings, self.metrics, self.log)

    @cached_property
    def metrics(self) -> Metrics:
        from copilotedge.adapters.cloudwatch import EmbeddedMetrics

        return EmbeddedMetrics(self.settings.stack_name)

    @cached_property
    def charges(self) -> Charges:
        from copilotedge.charges import Charges

        return Charges(self.limits, self.prices, self.metrics, self.log)

    @cached_property
    def waker(self) -> Waker:
        from copilotedge.adapters.lambdas import TurnWorker

        client = aws.client("lambda", read_timeout=5, attempts=3)
        return TurnWorker(client, self.settings.turn_worker_function)

    @cached_property
    def gateway(self) -> Gateway:
        from copilotedge.adapters.api_gateway import WebSocketGateway

        endpoint = self.settings.websocket_endpoint
        client = aws.client("apigatewaymanagementapi", read_timeout=5, attempts=1, endpoint_url=endpoint)
        return WebSocketGateway(client, ThreadPoolExecutor(THREADS))

    @cached_property
    def model(self) -> Model:
        import httpx  # only the functions that call the model pay for it

        from copilotedge.adapters.secrets_manager import Secret
        from copilotedge.adapters.workers_ai import WorkersAi, failures

        with suppress(ImportError):
            import_module("anyio._backends._asyncio")  # httpx does so with its first call

        client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None))
        self._resources.push_async_callback(client.aclose)
        secrets = aws.client("secretsmanager", read_timeout=5, attempts=3)
        return WorkersAi(
            client,
            base_url=self.settings.workers_ai_base_url,
            api_token=Secret(secrets, self.settings.api_token_secret_arn, failures.no_token),
            log=self.log,
            endpoint="run" if self.settings.model_endpoint == "run" else "chat-completions",
            fallback_model=self.settings.fallback_model,
            max_tries=self.settings.model_max_tries,
            timeout_seconds=self.settings.model_timeout_seconds,
        )

    @cached_property
    def rules(self) -> Rules:
        from copilotedge.transitions import Rules

        return Rules(
            inactivity_ms=self.settings.inactivity_ms,
            lease_ms=self.settings.lease_ms,
            max_queued=self.settings.max_queued_messages,
            max_stored=self.settings.max_stored_messages,
            max_attempts=self.settings.max_attempts,
        )

    @cached_property
    def conversations(self) -> Conversations:
        from copilotedge.conversations import Conversations

        return Conversations(
            self.store, self.waker, self.limits, self.rules, self.settings.snapshot_messages, now, self.log
        )

    @cached_property
    def holding(self) -> Holding:
        from copilotedge.holding import Holding

        return Holding(self.store, self.gateway, self.waker, self.settings, self.rules, now, self.log)

    @cached_property
    def runner(self) -> TurnRunner:
        from copilotedge.turns import TurnRunner

        return TurnRunner(
            self.store, self.model, self.holding, self.waker, self.charges, self.settings, self.rules, now, self.log
        )

    @cached_property
    def replies(self) -> Replies:
        from copilotedge.replies import Replies
        from copilotedge.stateless import StatelessChat

        stateless = StatelessChat(self.model, self.limits, self.charges, self.caching, self.settings, now, self.log)
        return Replies(self.conversations, self.runner, stateless, self.limits, self.settings, now)

    @cached_property
    def door(self) -> Door:
        from copilotedge.door import Door

        return Door(self.store)

    @cached_property
    def sockets(self) -> Sockets:
        from copilotedge.sockets import Sockets

        return Sockets(
            self.conversations,
            self.store,
            self.gateway,
            self.holding,
            self.door,
            self.limits,
            self.settings,
            now,
            self.log,
        )

    @cached_property
    def items(self) -> Items:
        from copilotedge.openai.items import Items

        return Items(self.conversations)

    @cached_property
    def responses(self) -> Responses:
        from copilotedge.openai.responses import Responses

        return Responses(self.door, self.conversations, self.sockets, self.settings, now, self.log)

    @cached_property
    def threads(self) -> Threads:
        from copilotedge.copilotkit.threads import Threads

        return Threads(self.door, self.conversations, self.users, self.sockets, self.replies, self.settings)

    @cached_property
    def graphql(self) -> GraphqlCalls:
        from copilotedge.copilotkit.graphql_calls import GraphqlCalls

        return GraphqlCalls(self.threads)

    @cached_property
    def users(self) -> Users:
        from copilotedge.users import Users

        return Users(
            self.store,
            self.usage,
            self.answers,
            self.conversations,
            self.sockets,
            self.gateway,
            self.waker,
            self.log,
        )

    @cached_property
    def titles(self) -> Titles:
        from copilotedge.titles import Titles

        return Titles(self.store, self.model, self.limits, self.charges, self.sockets, self.settings, self.log)

    @cached_property
    def exports(self) -> Exports:
        from copilotedge.exports import Exports

        return Exports(self.conversations, self.users)

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        client: DynamoDBClient = aws.client("dynamodb", read_timeout=4, attempts=4)
        return client


@cache
def application() -> Application:
    """The application of this execution environment."""
    return Application(Settings.from_environment(os.environ))
