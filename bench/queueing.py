"""A discrete-event simulation in small: processes, places that they wait for, rates that they keep to. No wall clock.

A process is a generator. It yields seconds to sleep, or a ``Pool`` to be given a place of it, and goes on after that::

    def customer():
        yield pool
        yield 2.0
        pool.release()

The formulas at the end are what queueing theory says of the simplest of such systems; the tests hold the simulation
against them.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Generator
from itertools import count

Process = Generator["float | Pool", None, None]


class Simulation:
    """``now`` is in seconds from the beginning. What is due at the same moment happens in the order it was planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time, next(self._order), act))

    def start(self, process: Process, delay: float = 0.0) -> None:
        self.at(self.now + delay, lambda: self._go_on(process))

    def run(self, until: float = math.inf) -> None:
        """Until nothing is due any more, or the next thing would be due after ``until``."""
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()

    def _go_on(self, process: Process) -> None:
        wish = next(process, None)
        if isinstance(wish, Pool):
            wish.ask(lambda: self._go_on(process))
        elif wish is not None:
            self.at(self.now + wish, lambda: self._go_on(process))


class Pool:
    """So many places; who finds none free waits in line.

    With ``starts`` no place is there at first: one is made when somebody waits, at the rate and with the burst of
    ``starts``, which takes ``start_seconds``, and stays. That is how Lambda makes execution environments.
    """

    def __init__(
        self, simulation: Simulation, places: float, starts: Rate | None = None, start_seconds: float = 0.0
    ) -> None:
        self._simulation = simulation
        self._starts = starts
        self._start_seconds = start_seconds
        self._unmade = places if starts else 0.0
        self._free = 0.0 if starts else places
        self._starting = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._line = _Area(simulation)
        self.busy = 0
        self.made = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def mean_waiting(self) -> float:
        """How many have waited, on average over the time so far."""
        return self._line.mean(self.waiting)

    def ask(self, go_on: Callable[[], None]) -> None:
        self._line.add(self.waiting)
        self._waiting.append(go_on)
        self._serve()
        if self._starts and self._unmade > 0 and self._starting < self.waiting:
            self._unmade -= 1
            self._starting += 1
            self._simulation.at(self._simulation.now + self._starts.wait() + self._start_seconds, self._made)

    def release(self) -> None:
        self.busy -= 1
        self._free += 1
        self._serve()

    def _made(self) -> None:
        self.made += 1
        self._starting -= 1
        self._free += 1
        self._serve()

    def _serve(self) -> None:
        while self._free > 0 and self._waiting:
            self._free -= 1
            self.busy += 1
            self._line.add(self.waiting)
            self._simulation.at(self._simulation.now, self._waiting.popleft())


class Rate:
    """So many units a second, and ``burst`` units at once after a pause: a token bucket. First come, first served."""

    def __init__(self, simulation: Simulation, units_per_second: float, burst: float = 0.0) -> None:
        self._simulation = simulation
        self._rate = units_per_second
        self._slack = burst / units_per_second
        self._busy_until = -math.inf

    def wait(self, units: float = 1.0) -> float:
        """Takes the units, and tells the seconds until they may be used."""
        now = self._simulation.now
        begins = max(self._busy_until, now)
        self._busy_until = begins + units / self._rate
        return max(0.0, begins - self._slack - now)

    def take(self, units: float = 1.0) -> bool:
        """Takes the units if they may be used at once; False, and nothing is taken, if not."""
        now = self._simulation.now
        begins = max(self._busy_until, now)
        if begins + units / self._rate - self._slack > now + 1e-9:
            return False
        self._busy_until = begins + units / self._rate
        return True


class _Area:
    """Sums a number of things over time."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._since = 0.0
        self._sum = 0.0

    def add(self, number: int) -> None:
        """``number`` has been so since the last call."""
        self._sum += number * (self._simulation.now - self._since)
        self._since = self._simulation.now

    def mean(self, number: int) -> float:
        self.add(number)
        return self._sum / self._simulation.now if self._simulation.now else 0.0


# --- Theory ----------------------------------------------------------------------------------------------------------


def erlang_c(places: int, offered: float) -> float:
    """The share of customers that wait, of M/M/c: ``offered`` is arrivals a second times seconds of service."""
    term = blocked = 1.0
    for busy in range(1, places):
        term *= offered / busy
        blocked += term
    last = term * offered / places * places / (places - offered)
    return last / (blocked + last)


def mean_wait_mmc(places: int, arrivals: float, service: float) -> float:
    """Mean seconds of waiting, of M/M/c; ``service`` is the mean seconds of a service."""
    offered = arrivals * service
    return erlang_c(places, offered) * service / (places - offered)


def mean_wait_md1(arrivals: float, service: float) -> float:
    """Mean seconds of waiting, of M/D/1: a rate that is kept to."""
    load = arrivals * service
    return load * service / (2 * (1 - load))


def percentile(sorted_values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed; 0 of none."""
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)] if sorted_values else 0.0
