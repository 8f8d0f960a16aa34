"""Draws the report's plots: ``python -m bench.plots results.json DIRECTORY``, in the environment of the bench.

On white, whatever the page's colours are: so they can be read in the dark, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

OURS, FIRST, SECOND, PALE = "#0b6e4f", "#c1440e", "#1f4e9c", "#9aa5b1"
STYLE = {
    "svg.hashsalt": "copilotedge",  # the same results make the same files
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
}

Draw = Callable[[Axes, dict[str, Any]], None]


def units(axes: Axes, found: dict[str, Any]) -> None:
    """Write units of a turn by what is stored, both logarithmic."""
    ours, peers = found["units"]["ours"], found["units"]["peers"]
    lines = [
        ("LangGraph DynamoDBSaver", peers["langgraph-checkpoint-aws"]["turns"], SECOND, "s"),
        ("LangChain DynamoDBChatMessageHistory", peers["langchain-community"]["turns"], FIRST, "^"),
        ("CopilotEdge, WebSocket, with limits", ours["websocket"]["turns"], PALE, "o"),
        ("CopilotEdge, REST, with limits", ours["rest_limited"], OURS, "o"),
    ]
    for label, turns, color, marker in lines:
        known = [turn for turn in turns if "write_units" in turn]
        stored = [max(1, turn["stored"]) for turn in known]
        axes.plot(
            stored, [turn["write_units"] for turn in known], color=color, marker=marker, markersize=4, label=label
        )
        if len(known) < len(turns):
            axes.annotate(
                "then the item is full",
                (stored[-1], known[-1]["write_units"]),
                xytext=(6, 4),
                textcoords="offset points",
                color=color,
                fontsize=8,
            )
    axes.set(xscale="log", yscale="log", xlabel="messages stored before the turn", ylabel="write units of a turn")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="upper left", fontsize=8)


def latency(axes: Axes, found: dict[str, Any]) -> None:
    """Each call's time, from half of all to 99 of 100."""
    names = list(found["latency"]["percentiles"])
    data = list(found["latency"]["percentiles"].values())
    colors = [PALE if name.startswith("floor") else OURS for name in names]
    boxes = axes.boxplot(
        data,
        orientation="horizontal",
        whis=(1, 99),
        showfliers=False,
        patch_artist=True,
        tick_labels=names,
        medianprops={"color": "black"},
    )
    for box, color in zip(boxes["boxes"], colors, strict=True):
        box.set(facecolor=color, alpha=0.7, linewidth=0.5)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel="ms (median, quartiles, first and 99th hundredth)", xlim=(0, None))


def cold(axes: Axes, found: dict[str, Any]) -> None:
    """Import of each function beside that of the packages that it cannot do without."""
    rows = found["cold_start"]
    places = range(len(rows))
    axes.bar(
        [x - 0.2 for x in places], [row["floor_ms"] for row in rows], 0.4, color=PALE, label="floor: its packages alone"
    )
    axes.bar([x + 0.2 for x in places], [row["import_ms"] for row in rows], 0.4, color=OURS, label="import")
    axes.set_xticks(list(places), [row["function"] for row in rows], fontsize=8)
    axes.set(ylabel="ms")
    axes.legend(fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))


def memory(axes: Axes, found: dict[str, Any]) -> None:
    samples = found["memory"]["samples"]
    axes.plot([second / 60 for second, _ in samples], [mb for _, mb in samples], color=OURS)
    axes.set(xlabel="minutes of one answer", ylabel="MB that the worker keeps")
    axes.set_ylim(0, 1.3 * found["memory"]["most_mb"])


PLOTS: dict[str, tuple[Draw, tuple[float, float]]] = {
    "units": (units, (7, 4)),
    "latency": (latency, (8, 4.5)),
    "cold-start": (cold, (7, 3)),
    "memory": (memory, (7, 2.6)),
}


def main(results: Path, place: Path) -> None:
    found = json.loads(results.read_text())
    mpl.rcParams.update(STYLE)
    for name, (draw, size) in PLOTS.items():
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        draw(figure.add_subplot(), found)
        figure.savefig(place / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
