"""What follows from what was measured: cost against latency by a function's memory. Computed, not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
WHOLE_CORE_MB = 1769
"""Memory at which a function has one whole processor; with less it has that share of one (Lambda quotas)."""
MEMORY_MB = (256, 512, 1024, 1769, 3008)
MODEL_SECONDS = 3.0
"""What a model takes for an answer, by assumption: a function waits as long, and is paid for that."""


def derived(found: dict[str, Any]) -> dict[str, Any]:
    """``cpu_seconds`` of a REST turn, ``start_seconds`` of the function that serves it, and sizes for each path."""
    return {
        "cpu_seconds": total(found["cpu"]["rest"]),
        "start_seconds": start_seconds(found["cold_start"]),
        "memory_sizes": [size(path, total(found["cpu"][path]), mb) for path in ("rest", "stream") for mb in MEMORY_MB]
        + [size("websocket", found["cpu"]["websocket"]["turn-worker"] or 0.0, mb) for mb in MEMORY_MB],
    }


def total(spent: dict[str, float | None]) -> float:
    """Seconds of all functions of a path; 0 where they could not be measured."""
    return round(sum(seconds or 0.0 for seconds in spent.values()), 4)


def start_seconds(cold: list[dict[str, Any]]) -> float:
    """Import and first call of the HTTP API's function; 0 where nothing was measured."""
    mine = next((one for one in cold if one["function"] == "http_api"), None)
    return round((mine["import_ms"] + mine["first_call_ms"]) / 1000, 3) if mine else 0.0


def size(path: str, cpu: float, mb: int) -> dict[str, Any]:
    """With ``mb`` of memory: what our own work takes when nothing else slows it, and USD of a million turns."""
    share = min(1.0, mb / WHOLE_CORE_MB)
    own = cpu / share
    return {
        "path": path,
        "memory_mb": mb,
        "own_ms": round(own * 1000),
        "own_usd": round(own * mb / 1024 * price() * 1e6, 2),
        "usd": round((own + MODEL_SECONDS) * mb / 1024 * price() * 1e6, 2),
    }


def price() -> float:
    """USD a GB-second, on arm64."""
    prices = json.loads(PRICES.read_text())["services"]["lambda"]["prices"]
    return float(prices["arm64"]["usd"])
