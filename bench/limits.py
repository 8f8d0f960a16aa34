"""What limits a stack, and what a turn asks of each limit: arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from bench.cost_model import DELETED_PER_TURN, DYNAMODB_SECONDS, FULL_CORE_MB, PING_MINUTES, CostModel, Workload
from bench.measured import Measured
from bench.simulation import Service, service_of
from copilotedge.watching import WATCH_SECONDS

DAY = 86_400
PEAK = 3
"""How much busier the busiest hour is than the day's mean: assumed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that a peak may be too much for: ``default`` a second (or at once), and how it is moved."""

    name: str
    default: float
    moved_by: str


LIMITS_OF_A_STACK = (
    Limit(
        "model calls/s",
        300 / 60,
        "Workers AI's limit of an account and model: ask Cloudflare; several models (`FallbackModel`, `model`);"
        " `WorkersAiBaseUrl` to another provider or one's own servers",
    ),
    Limit(
        "frames in/s",
        500,
        "`RequestsPerSecond`, ours: raise it (or leave it, as a brake on a bill)",
    ),
    Limit(
        "gateway frames and requests/s",
        10_000,
        "API Gateway's throttle of an account and region: ask AWS; `COALESCE_SECONDS` divides it; the stream API goes"
        " round it; more accounts or regions",
    ),
    Limit("new sockets/s", 500, "API Gateway's quota of new connections: ask AWS"),
    Limit(
        "Lambda at once",
        1000,
        "concurrent executions of an account and region: ask AWS (tens of thousands); `WorkerConcurrency` shares them"
        " out; a faster model halves them",
    ),
    Limit(
        "charges/s, with `TotalTokensPerDay`",
        1000,
        "one item counts everybody's tokens, and an item takes 1,000 write units/s: leave it 0, or shard the item",
    ),
    Limit("write units/s", 40_000, "DynamoDB's quota of a table: ask AWS; before a known peak, warm throughput"),
    Limit("read units/s", 40_000, "the same for reads; a shorter `HistoryWindowMessages`"),
)


@dataclass(frozen=True, slots=True)
class PerTurn:
    """What a turn over WebSocket with one socket takes, its share of connecting, pings and deletion included."""

    service: Service
    write_units: float
    read_units: float
    frames: float
    frames_in: float
    connections: float
    own_seconds: float
    stored_bytes: float
    log_bytes: float
    workload: Workload


def per_turn(measured: Measured, workload: Workload | None = None) -> PerTurn:
    load = workload or Workload()
    service = service_of(measured, load)
    pings = load.sockets * load.minutes_per_turn / PING_MINUTES
    comings = load.sockets / load.turns_per_connection
    cpu = measured.cpu["websocket-api"] / min(1.0, load.memory_mb / FULL_CORE_MB)
    front = cpu + measured.websocket.requests // 2 * DYNAMODB_SECONDS
    return PerTurn(
        service=service,
        write_units=measured.websocket.write
        + pings * measured.ping.write
        + comings * measured.connection.write
        + DELETED_PER_TURN,
        read_units=measured.websocket.read + comings * measured.connection.read + load.model_seconds // WATCH_SECONDS,
        frames=service.frames + 1 + 2 * pings + 2 * comings,
        frames_in=1 + pings + 2 * comings,
        connections=comings,
        own_seconds=front * (1 + pings + 3 * comings),
        stored_bytes=CostModel(measured, load).stored_bytes,
        log_bytes=measured.log_bytes["turn_worker"] + measured.log_bytes["websocket_api"] * (1 + pings + 3 * comings),
        workload=load,
    )


def needed(turn: PerTurn, turns_per_second: float) -> dict[str, float]:
    """What so many turns a second ask of each of the limits."""
    return {
        "model calls/s": turns_per_second,
        "frames in/s": turns_per_second * turn.frames_in,
        "gateway frames and requests/s": turns_per_second * turn.frames,
        "new sockets/s": turns_per_second * turn.connections,
        "Lambda at once": turns_per_second * (turn.service.held_seconds + turn.own_seconds),
        "charges/s, with `TotalTokensPerDay`": turns_per_second,
        "write units/s": turns_per_second * turn.write_units,
        "read units/s": turns_per_second * turn.read_units,
    }


def peak(turn: PerTurn, conversations: float) -> float:
    """Turns a second in the busiest hour."""
    return conversations * turn.workload.turns_per_conversation / DAY * PEAK
