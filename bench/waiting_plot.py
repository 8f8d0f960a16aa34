"""The plot of ``docs/scale.md``: how long turns wait at a limit, by load. SVG, written by hand."""

from __future__ import annotations

from math import log10
from typing import Any

_COLORS = ("#2f7ed8", "#d9822b", "#3f9c5a", "#c0504d")
_LEFT, _TOP, _WIDTH, _HEIGHT = 90, 20, 400, 240
_LOAD, _WAIT = (0.5, 1.1), (0.001, 100.0)


def plot(simulated: dict[str, Any]) -> str:
    """Waits by load, as SVG that can be read on white and on black."""
    size = f'viewBox="0 0 {_LEFT + _WIDTH + 250} {_TOP + _HEIGHT + 50}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#888">',
        "<title>Wait (p99) by load at four limits</title>",
    ]
    for wait, text in (
        (0.001, "1 ms or less"),
        (0.01, "10 ms"),
        (0.1, "100 ms"),
        (1, "1 s"),
        (10, "10 s"),
        (100, "100 s"),
    ):
        y = _y(wait)
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}" stroke="#888" stroke-opacity="0.3"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{text}</text>')
    below = _TOP + _HEIGHT + 18
    loads = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
    parts += [f'<text x="{_x(load)}" y="{below}" text-anchor="middle">{load:.0%}</text>' for load in loads]
    parts.append(f'<text x="{_LEFT}" y="{_TOP + _HEIGHT + 40}">load, as a share of what the limit lets through</text>')
    for number, (name, runs) in enumerate(simulated["limits"].items()):
        waits = [(run["load"], run["lag_p99" if "frames" in name else "wait_p99"]) for run in runs]
        points = " ".join(f"{_x(load)},{_y(wait)}" for load, wait in waits)
        color, y = _COLORS[number], _TOP + 20 + 24 * number
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<rect x="{_LEFT + _WIDTH + 16}" y="{y - 9}" width="14" height="4" fill="{color}"/>')
        parts.append(f'<text x="{_LEFT + _WIDTH + 36}" y="{y}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(load: float) -> float:
    low, high = _LOAD
    return round(_LEFT + (load - low) / (high - low) * _WIDTH, 1)


def _y(wait: float) -> float:
    """Logarithmic; what is less than a millisecond is drawn as one."""
    low, high = map(log10, _WAIT)
    return round(_TOP + _HEIGHT - (log10(max(wait, _WAIT[0])) - low) / (high - low) * _HEIGHT, 1)
