"""What a turn costs with what people would use instead, on moto: ``python -m bench.peers 100 FILE`` writes JSON.

Runs in the environment of ``requirements/bench.txt``. Each peer gets the conversation in one write and then a turn as
its documentation shows it: read, ask the model, keep question and answer.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

from bench.meter import Meter
from bench.workload import ANSWER, QUESTION, TURNS, stored_before


class Peer(Protocol):
    """One conversation of a peer."""

    def fill(self, messages: int) -> None: ...

    def turn(self) -> None: ...


class LangChain:
    """``DynamoDBChatMessageHistory``: one item a conversation, a list of messages."""

    package = "langchain-community"

    def __init__(self, name: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package says that it is no longer looked after
            from langchain_community.chat_message_histories import DynamoDBChatMessageHistory

        create_table(name, "SessionId")
        self._history = DynamoDBChatMessageHistory(name, "1")

    def fill(self, messages: int) -> None:
        self._history.add_messages(log(messages))

    def turn(self) -> None:
        """The prompt is made of what is stored."""
        self.prompt = self._history.messages
        self._history.add_user_message(QUESTION)
        self._history.add_ai_message(ANSWER)


class LangGraph:
    """``DynamoDBSaver`` under the smallest graph that chats: one node, which asks the model."""

    package = "langgraph-checkpoint-aws"

    def __init__(self, name: str) -> None:
        from langchain_core.messages import AIMessage
        from langgraph.graph import START, MessagesState, StateGraph
        from langgraph_checkpoint_aws import DynamoDBSaver

        create_table(name, "PK", "SK")
        graph: Any = StateGraph(MessagesState)
        graph.add_node("model", lambda _: {"messages": [AIMessage(ANSWER)]})
        graph.add_edge(START, "model")
        self._app = graph.compile(checkpointer=DynamoDBSaver(name))
        self._config = {"configurable": {"thread_id": "1"}}

    def fill(self, messages: int) -> None:
        self._app.update_state(self._config, {"messages": log(messages)})

    def turn(self) -> None:
        from langchain_core.messages import HumanMessage

        self._app.invoke({"messages": [HumanMessage(QUESTION)]}, self._config)


def log(messages: int) -> list[Any]:
    from langchain_core.messages import AIMessage, HumanMessage

    return [AIMessage(ANSWER) if n % 2 else HumanMessage(QUESTION) for n in range(messages)]


def create_table(name: str, *keys: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": "RANGE" if place else "HASH"} for place, key in enumerate(keys)],
    )


def measure(peer: type[LangChain | LangGraph], meter: Meter, last: int) -> Iterator[dict[str, Any]]:
    """The turns up to ``last``, and of the first that the table refuses that it does."""
    for turn in (turn for turn in TURNS if turn <= last):
        about = {"turn": turn, "stored": stored_before(turn)}
        try:
            conversation = peer(f"{peer.__name__}-{turn}")
            if turn > 1:
                conversation.fill(stored_before(turn))
            meter.take()
            conversation.turn()
        except ClientError as exc:
            yield about | {"refused": exc.response["Error"]["Message"]}
            return
        yield about | meter.take().as_json()


def main(last: int, result: Path) -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    meter = Meter(lambda: boto3.client("dynamodb"))
    meter.install()
    with mock_aws():
        found = {
            peer.package: {"version": version(peer.package), "turns": list(measure(peer, meter, last))}
            for peer in (LangChain, LangGraph)
        }
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
