"""Turns that wait at the limits: a simulation driven by the measured service times. ``python -m bench.simulation``.

Each scenario has turns arrive at random (Poisson) at a share of what one limit lets through, all the others being wide
open; the last has all of AWS's and Workers AI's default quotas at once. A turn holds its Lambda from its first read
to its last write, as the worker does: it waits for an execution environment, for the table's units, for the model, and
its frames for the gateway. The retries of the model's calls are the functions' own rules (``Attempts``).

Writes ``simulation.json``, the plot, and the tables of ``docs/scale.md``. The same seed gives the same figures.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import words
from bench.cost_model import DYNAMODB_SECONDS, FULL_CORE_MB, CostModel, Workload
from bench.measured import Measured, NotMeasured, read
from bench.queueing import Pool, Process, Rate, Simulation, percentile
from copilotedge.adapters.api_gateway import POST_TRIES
from copilotedge.adapters.workers_ai.attempts import Attempts
from copilotedge.errors import ModelError, ModelOutOfCapacity
from copilotedge.settings import Settings

RESULT = Path(__file__).with_name("simulation.json")
SEED = 20_261_122
LOADS = (0.5, 0.8, 0.9, 0.95, 0.99, 1.1)
RATES = (1, 2, 4, 6, 10, 50)
"""Turns a second, against all default quotas at once."""
BURSTS = ((500, 1000), (3000, 10_000), (3000, 1000))
"""Turns within a second, and how many environments the account may have."""
HOT = (5, 10, 15, 20, 30)
"""Messages a minute of one conversation."""
WARM_UP = 0.2
"""Of the time, at the beginning: not counted, for the queues are still empty."""
MAX_TURNS = 40_000
WIDE_OPEN = math.inf
BACKOFF_SECONDS = 0.05
"""The first one of ``adapters.api_gateway``."""
PATIENCE = sum(BACKOFF_SECONDS * 2**attempt * 0.75 for attempt in range(POST_TRIES))
"""Seconds, in the mean, after which a socket is given up that the gateway throttles: the backoffs of its tries."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What AWS and Workers AI let through by default; infinite where a scenario is not about them.

    What is given at once after a pause: of frames as API Gateway documents, of calls a minute's, of units a second's.

    Environments a second and at once: Lambda scaling behavior. Units a second: DynamoDB quotas, of a table. Frames a
    second: API Gateway quotas, all APIs of an account together. Calls a second: Workers AI limits, text generation.
    """

    environments: float = WIDE_OPEN
    starts_per_second: float = 100.0
    starts_at_once: float = 1000.0
    write_units: float = WIDE_OPEN
    frames: float = WIDE_OPEN
    frames_at_once: float = 5000.0
    model_calls: float = WIDE_OPEN
    model_calls_at_once: float = 300.0


DEFAULTS = Quotas(environments=1000, write_units=40_000, frames=10_000, model_calls=300 / 60)


@dataclass(frozen=True, slots=True)
class Service:
    """What a turn takes of each of them, in its mean. Answers' lengths are random (exponential)."""

    model_seconds: float
    before_seconds: float
    after_seconds: float
    begin_units: float
    complete_units: float
    frames: float
    start_seconds: float
    max_tries: int = Settings().model_max_tries

    @property
    def held_seconds(self) -> float:
        """How long a turn holds its Lambda when nothing is in its way."""
        return self.before_seconds + self.model_seconds + self.after_seconds


@dataclass(slots=True)
class Outcome:
    """Of the turns that came after the warm-up. Waits and lags in seconds, sorted."""

    arrived: int = 0
    answered: int = 0
    failed: int = 0
    left: int = 0
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        """Waits are those before the model is asked, lags those of frames."""
        return {
            "arrived": self.arrived,
            "answered": self.answered,
            "failed": self.failed,
            "left": self.left,
            "wait_p50": percentile(self.waits, 0.5),
            "wait_p99": percentile(self.waits, 0.99),
            "lag_p99": percentile(self.lags, 0.99),
            "too_late": sum(lag > PATIENCE for lag in self.lags) / len(self.lags) if self.lags else 0.0,
            "whole_p50": percentile(self.times, 0.5),
        }


class Turns:
    """One run: turns arrive at ``rate`` a second for ``seconds``; what is still under way then is left."""

    def __init__(self, service: Service, quotas: Quotas, rate: float, seconds: float, seed: int = SEED) -> None:
        self._random = random.Random(seed)
        self._service = service
        self._seconds = seconds
        self._rate = rate
        self._counted_from = 0.0
        self.simulation = simulation = Simulation()
        starts = Rate(simulation, quotas.starts_per_second, quotas.starts_at_once)
        self.environments = Pool(simulation, quotas.environments, starts, service.start_seconds)
        self._table = Rate(simulation, quotas.write_units, quotas.write_units)
        self._frames = Rate(simulation, quotas.frames, quotas.frames_at_once)
        self._model = Rate(simulation, quotas.model_calls, quotas.model_calls_at_once)
        self.outcome = Outcome()

    def run(self, *, drain: bool = False) -> Outcome:
        """With ``drain`` all are counted and nobody is left: it goes on until all that arrived are done."""
        self._counted_from = 0.0 if drain else WARM_UP * self._seconds
        self.simulation.start(self._arrivals())
        self.simulation.run(math.inf if drain else self._seconds)
        outcome = self.outcome
        outcome.left = outcome.arrived - outcome.answered - outcome.failed
        for values in (outcome.waits, outcome.lags, outcome.times):
            values.sort()
        return outcome

    def _arrivals(self) -> Process:
        while True:
            yield self._random.expovariate(self._rate)
            if self.simulation.now > self._seconds:
                return
            counts = self.simulation.now >= self._counted_from
            self.outcome.arrived += counts
            self.simulation.start(self._turn(counts))

    def _turn(self, counts: bool) -> Process:
        service, arrived = self._service, self.simulation.now
        said = self._random.expovariate(1 / service.model_seconds)
        yield self.environments
        yield self._table.wait(service.begin_units) + service.before_seconds
        answered = yield from self._ask()
        if counts:
            self.outcome.waits.append(max(0.0, self.simulation.now - arrived - service.before_seconds))
        if answered:
            yield from self._speak(said, counts)
        yield self._table.wait(service.complete_units) + service.after_seconds
        self.environments.release()
        if counts:
            self.outcome.answered += answered
            self.outcome.failed += not answered
            self.outcome.times.append(self.simulation.now - arrived)

    def _ask(self) -> Generator[float, None, bool]:
        """Whether the model took the call, within the tries that the settings allow."""
        attempts = Attempts("model", "", self._service.max_tries, self._random.random)
        while not self._model.take():
            try:
                yield attempts.wait_after(ModelOutOfCapacity("429"))
            except ModelError:
                return False
        return True

    def _speak(self, seconds: float, counts: bool) -> Generator[float, None, None]:
        """The words, second by second: their frames wait at the gateway while the model goes on."""
        frames_a_second = self._service.frames / self._service.model_seconds
        while seconds > 0:
            second = min(1.0, seconds)
            lag = self._frames.wait(frames_a_second * second)
            if counts:
                self.outcome.lags.append(lag)
            yield second
            seconds -= second


# --- Scenarios -------------------------------------------------------------------------------------------------------


def service_of(measured: Measured, workload: Workload | None = None) -> Service:
    """A turn over WebSocket with one socket."""
    load = workload or Workload()
    model = CostModel(measured, load)
    cpu = measured.cpu["turn-worker"] / min(1.0, load.memory_mb / FULL_CORE_MB)
    traffic = words.over_a_socket(load.question_tokens, load.answer_tokens, load.tokens_per_second)
    units = model.measured.websocket.write
    return Service(
        model_seconds=load.model_seconds,
        before_seconds=round(cpu / 2 + 2 * DYNAMODB_SECONDS, 6),
        after_seconds=round(cpu / 2 + DYNAMODB_SECONDS, 6),
        begin_units=units - units // 3,
        complete_units=units // 3,
        frames=load.sockets * traffic.messages,
        start_seconds=measured.start_seconds,
    )


def capacity(service: Service, quotas: Quotas) -> float:
    """Turns a second that the tightest quota lets through."""
    return min(
        quotas.environments / service.held_seconds,
        quotas.write_units / (service.begin_units + service.complete_units),
        quotas.frames / service.frames,
        quotas.model_calls,
    )


LIMITS = {
    "Lambda: 1,000 at once": Quotas(environments=1000),
    "table: 4,000 write units/s (new)": Quotas(write_units=4000),
    "gateway: 10,000 frames/s": Quotas(frames=10_000),
    "Workers AI: 300 calls/min": Quotas(model_calls=5),
}
"""One limit each, all the others wide open."""


def at_load(service: Service, quotas: Quotas, load: float, seed: int = SEED, most: int = MAX_TURNS) -> dict[str, Any]:
    """A run at a share of the capacity, of ``most`` turns or as many as come in 400 times a turn's length."""
    rate = load * capacity(service, quotas)
    seconds = min(max(400 * service.held_seconds, 20_000 / rate), most / rate)
    return {"load": load, "rate": rate, **Turns(service, quotas, rate, seconds, seed).run().row()}


def burst(service: Service, size: int, environments: int, seed: int = SEED) -> dict[str, Any]:
    """So many turns within a second, on a stack that nobody has used: how long until the model is asked."""
    turns = Turns(service, Quotas(environments=environments), size, 1.0, seed)
    row = turns.run(drain=True).row()
    return {"size": size, "environments": environments, "made": turns.environments.made, **row}


def hot(service: Service, rate: float, seed: int = SEED, room: int = Settings().max_queued_messages) -> dict[str, Any]:
    """One conversation in which 50,000 messages come at this rate: they are answered one after the other."""
    simulation, chance = Simulation(), random.Random(seed)
    turn, outcome = Pool(simulation, 1), Outcome()

    def message() -> Process:
        came = simulation.now
        yield turn
        outcome.waits.append(simulation.now - came)
        yield service.held_seconds - service.model_seconds + chance.expovariate(1 / service.model_seconds)
        turn.release()
        outcome.answered += 1

    def messages() -> Process:
        for _ in range(50_000):
            yield chance.expovariate(rate)
            outcome.arrived += 1
            if turn.waiting < room:
                simulation.start(message())
            else:
                outcome.refused += 1

    simulation.start(messages())
    simulation.run()
    outcome.waits.sort()
    return {"rate": rate, "refused": outcome.refused, **outcome.row()}


def simulated(service: Service, seed: int = SEED) -> dict[str, Any]:
    """All scenarios, with what they were made from."""
    limits = {name: [at_load(service, quotas, load, seed) for load in LOADS] for name, quotas in LIMITS.items()}
    return {
        "seed": seed,
        "service": asdict(service),
        "limits": limits,
        "defaults": [{"rate": rate, **Turns(service, DEFAULTS, rate, 1200, seed).run().row()} for rate in RATES],
        "bursts": [burst(service, size, environments, seed) for size, environments in BURSTS],
        "hot": [hot(service, rate / 60, seed) for rate in HOT],
    }


def main() -> None:
    from bench.scale_tables import write  # which reads what is written here

    try:
        service = service_of(read())
    except NotMeasured as exc:
        sys.exit(str(exc))
    RESULT.write_text(json.dumps(simulated(service), indent=1) + "\n")
    write()


if __name__ == "__main__":
    main()
