"""One seed, one schedule: clients and functions interleaved as the dice fall, then rest, then the history checker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from copilotedge.settings import Settings
from tests.history import Observed, check
from tests.simulation.clients import CONVERSATION, Client
from tests.simulation.lambdas import Cloud
from tests.simulation.loop import run_virtual
from tests.simulation.points import Dice, Faults

LEASE_SECONDS = 3.0
SILENCE_SECONDS = 40.0
"""Longer than every lease, grace, retry and pause together."""

CALM = Faults()
STORMY = Faults(0.004, 0.006, 0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Scenario:
    """What the clients of a schedule may do, with weights; ``faults`` is what happens to the functions.

    A word takes the model ``word_seconds``, on average.
    """

    faults: Faults = CALM
    clients: int = 3
    acts: int = 4
    weights: dict[str, int] = field(default_factory=lambda: {"say": 6, "say_twice": 2, "rest": 2, "reconnect": 1})
    word_seconds: float = 0.15


@dataclass(frozen=True)
class Result:
    """``trace`` tells interleavings apart; ``violations`` are the checker's, and what else must hold."""

    trace: str
    violations: list[str]
    model_calls: int
    crashes: int


def play(seed: int, scenario: Scenario) -> Result:
    """The same seed plays the same schedule."""
    random.seed(seed)
    return run_virtual(_play(seed, scenario))


async def _play(seed: int, scenario: Scenario) -> Result:
    dice = Dice(random.Random(seed), scenario.faults)
    cloud = Cloud(dice, Settings(lease_seconds=LEASE_SECONDS, max_queued_messages=50), scenario.word_seconds)
    clients = [Client(f"client{number}x", cloud, dice) for number in range(scenario.clients)]
    await asyncio.gather(*(_live(client, scenario, dice) for client in clients))
    dice.calm = True
    await _rest(cloud)
    if scenario.faults != CALM:
        await _mend(cloud, clients)
    observed = await _observe(cloud, clients)
    violations = check(observed) + _unanswered(cloud, scenario, observed)
    violations += [misheard for client in clients for misheard in client.misheard]
    return Result(dice.trace.hexdigest(), violations, len(cloud.model_calls), cloud.crashes)


async def _live(client: Client, scenario: Scenario, dice: Dice) -> None:
    await client.connect()
    for _ in range(scenario.acts):
        await dice.pause("think;", 0.4)
        act = dice.random.choices([*scenario.weights], [*scenario.weights.values()])[0]
        await _act(client, act)


async def _act(client: Client, act: str) -> None:
    if act == "say":
        await client.say()
    elif act == "say_twice":
        await client.say(times=2)
    elif act == "rest":
        await client.say_over_rest()
    elif act == "stream":
        await client.stream()
    elif act == "follow":
        await client.follow()
    elif act == "append":
        await client.append()
    elif act == "reconnect":
        await client.reconnect()
    else:
        await client.command(act)


async def _rest(cloud: Cloud) -> None:
    """Leases run out, somebody looks in (as an open page does), and everything comes to its end."""
    for _ in range(3):
        await cloud.settle()
        await asyncio.sleep(SILENCE_SECONDS)
        await cloud.core("reader").conversations.page(CONVERSATION, 1)
        await cloud.settle()


async def _mend(cloud: Cloud, clients: list[Client]) -> None:
    for client in clients:
        await client.mend()
    await cloud.settle()


async def _observe(cloud: Cloud, clients: list[Client]) -> Observed:
    page = await cloud.core("reader").conversations.page(CONVERSATION, 1000)
    log = [
        {
            "seq": m.seq,
            "role": m.role,
            "content": m.content,
            "messageId": m.message_id,
            "turnId": m.turn_id,
            "status": m.status,
            "replaces": m.replaces,
        }
        for m in page.messages
    ]
    cleared = any(client.cleared for client in clients) or any(
        frame["type"] == "system" and frame["content"] == "conversation_cleared"
        for client in clients
        for frame in client.frames
    )
    withdrawn = {message_id for client in clients for message_id in client.doubtful}
    if cleared:
        withdrawn |= {message_id for client in clients for message_id in client.sent}
    return Observed(
        log=log,
        epoch=page.state.epoch if page.state else "",
        sockets={socket: cloud.frames.get(socket, []) for client in clients for socket in client.sockets},
        sent={} if cleared else {client.name: client.sent for client in clients if not client.doubtful},
        withdrawn=withdrawn,
        attentive={client.connection_id for client in clients},
        repeated={message_id for client in clients for message_id in client.repeated},
    )


def _unanswered(cloud: Cloud, scenario: Scenario, observed: Observed) -> list[str]:
    """What the checker cannot know: nothing runs or waits for ever, and no call is made twice without a reason.

    The model may have been asked in vain by a worker that had not claimed the turn yet.
    """
    found = [f"{entry['seq']} is still running" for entry in observed.log if entry["status"] == "running"]
    in_vain = sum(event == "head_start_unused" for event, _ in cloud.log.lines)
    repeated = len(cloud.model_calls) - len(set(cloud.model_calls)) > in_vain
    if scenario.faults == CALM and repeated and observed.sent:
        found.append(f"the model was asked twice: {sorted(cloud.model_calls)}")
    return found
