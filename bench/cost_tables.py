"""The tables of ``docs/cost.md``: ``python -m bench.cost_tables`` prints them, and writes them into it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import words
from bench.cost_model import (
    ENDING,
    GATEWAY,
    LOGS,
    MINUTES,
    READS,
    REQUESTS,
    TRANSFER,
    WAITING,
    WORKING,
    WRITES,
    Bill,
    CostModel,
    PriceList,
    Workload,
    total,
)
from bench.documents import filled, table, usd
from bench.measured import Measured, NotMeasured, read
from copilotedge.speech import COALESCE_SECONDS

CHECKOUT = Path(__file__).resolve().parent.parent
DOCUMENT = CHECKOUT / "docs" / "cost.md"
TEMPLATE = CHECKOUT / "template.yaml"
LINES = (WAITING, WORKING, REQUESTS, GATEWAY, MINUTES, WRITES, READS, ENDING, LOGS, TRANSFER)
DOORS = ("REST", "stream", "WebSocket")
STORED = (0, 18, 100, 198)
"""Messages in the log at the turns 1, 10, 51 and 100."""
FREE_ALARMS, FREE_DASHBOARDS = 10, 3
"""Metrics of alarms, and dashboards, that an account has for nothing (CloudWatch pricing)."""


def tables(measured: Measured) -> dict[str, str]:
    """By the names of their places."""
    model = CostModel(measured)
    return {
        "doors": doors(model),
        "all-together": all_together(model),
        "asides": table(["USD a million", ""], [(what, usd(cost)) for what, cost in model.asides().items()]),
        "beside": beside(model),
        "stores": stores(model),
        "model-seconds": by_door(model, "model answers in", "first_token_seconds", _model_seconds(model.workload)),
        "memory": by_door(model, "memory", "memory_mb", {f"{mb:,} MB": mb for mb in (256, 512, 1024, 1769)}),
        "answer": by_door(
            model, "answer", "answer_tokens", {f"{n:,} tokens": n for n in (32, 128, 512, 2048)}, _tokens
        ),
        "window": by_door(
            model, "window", "window_messages", {f"{n} messages": n for n in (4, 10, 20, 40)}, _tokens, doors=()
        ),
        "sockets": sockets(model),
        "coalescing": coalescing(model),
        "idle": idle(model, TEMPLATE.read_text()),
        "prices": prices(PriceList()),
    }


def doors(model: CostModel) -> str:
    bills = [model.rest(), model.stream(), model.websocket()]
    rows: list[Sequence[object]] = [(line, *[usd(bill[line]) for bill in bills]) for line in LINES]
    rows.append(("**all of AWS**", *[f"**{usd(total(bill))}**" for bill in bills]))
    rows.append(("of that, waiting", *[f"{bill[WAITING] / total(bill):.0%}" for bill in bills]))
    return table(["USD a million turns", *DOORS], rows)


def all_together(model: CostModel) -> str:
    tokens = model.model_tokens()
    bills = [model.rest(), model.stream(), model.websocket()]
    rows: list[Sequence[object]] = [(line, *[usd(amount)] * 3) for line, amount in tokens.items()]
    rows.append(("AWS", *[usd(total(bill)) for bill in bills]))
    rows.append(("**all**", *[f"**{usd(total(bill) + total(tokens))}**" for bill in bills]))
    rows.append(("AWS's share", *[f"{total(bill) / (total(bill) + total(tokens)):.0%}" for bill in bills]))
    return table(["USD a million turns", *DOORS], rows)


def beside(model: CostModel) -> str:
    """Whole bills, at 198 stored messages."""
    measured, at = model.measured, 198
    bills: dict[str, Bill] = {
        "ours over REST": model.rest(),
        "LangChain's history, same API and function": model.peer(measured.langchain[at]),
        "LangGraph's checkpoints, same API and function": model.peer(measured.langgraph[at]),
        "the original, key-value storage": model.original(at, "kv"),
        "the original, SQLite storage": model.original(at, "sqlite"),
        "ours over WebSocket": model.websocket(),
        "our turn inside a Durable Object": model.durable_object(),
    }
    rows = []
    for name, bill in bills.items():
        waits = bill.get(WAITING, bill["Durable Object: duration"] if name.startswith("our turn") else 0.0)
        kept = sum(bill.get(line, 0.0) for line in (WRITES, READS, ENDING))
        kept += sum(amount for line, amount in bill.items() if "storage" in line)
        rows.append((name, usd(waits), usd(kept), usd(total(bill) - waits - kept), usd(total(bill))))
    return table(["USD a million turns", "waiting", "store", "the rest", "all"], rows)


def stores(model: CostModel) -> str:
    """What is paid for reading and writing the conversation alone, as it grows; ours with the limit's own write."""
    write, read_unit = (model.price("dynamodb", unit) * 10**6 for unit in ("write_unit", "read_unit"))
    measured = model.measured

    def at(units: Any) -> str:
        return usd(units.write * write + units.read * read_unit) if units else "refused"

    rows = [
        (
            f"{stored}",
            at(measured.rest_by_stored.get(stored)),
            at(measured.langchain.get(stored)),
            at(measured.langgraph.get(stored)),
            usd(sum(amount for line, amount in model.original(stored, "kv").items() if "storage" in line)),
            usd(sum(amount for line, amount in model.original(stored, "sqlite").items() if "storage" in line)),
        )
        for stored in STORED
    ]
    head = ["messages stored", "ours", "LangChain", "LangGraph", "original, key-value", "original, SQLite"]
    return table(head, rows)


def by_door(
    model: CostModel,
    what: str,
    field: str,
    values: dict[str, Any],
    also: Callable[[CostModel], str] | None = None,
    doors: Sequence[str] = DOORS,
) -> str:
    """What each door costs, with one assumption at other values."""
    rows = []
    for name, value in values.items():
        other = model.given(**{field: value})
        bills = dict(zip(DOORS, (other.rest(), other.stream(), other.websocket()), strict=True))
        cells = [usd(total(bills[door])) for door in doors]
        if not doors:
            cells = [usd(bills["REST"][READS]), usd(total(bills["REST"]))]
        rows.append((name, *cells, *([also(other)] if also else [])))
    head = [what, *(doors or ("reads", "REST")), *(["the model's tokens"] if also else [])]
    return table(head, rows)


def sockets(model: CostModel) -> str:
    rows = []
    for number in (0, 1, 2, 10, 100):
        bill = model.given(sockets=number).websocket()
        sent = words.over_a_socket(
            model.workload.question_tokens, model.workload.answer_tokens, model.workload.tokens_per_second
        )
        rows.append((number, f"{number * sent.messages:,}", usd(bill[GATEWAY]), usd(total(bill))))
    return table(["sockets", "frames a turn", "of that, messages", "WebSocket"], rows)


def coalescing(model: CostModel) -> str:
    rows = []
    for milliseconds in (0, 20, 40, 60, 100, 200):
        other = model.given(coalesce_seconds=milliseconds / 1000)
        load = other.workload
        frames = words.delta_frames(load.answer_tokens, load.tokens_per_second, load.coalesce_seconds)
        fast = words.delta_frames(load.answer_tokens, 1000, load.coalesce_seconds)
        mark = " (as it is)" if load.coalesce_seconds == COALESCE_SECONDS else ""
        rows.append((f"{milliseconds} ms{mark}", frames, usd(total(other.websocket())), fast))
    head = ["words are collected for", "delta frames", "WebSocket", "delta frames, model at 1,000 tokens/s"]
    return table(head, rows)


def idle(model: CostModel, template: str) -> str:
    """USD a month of a stack that nobody uses. Counts what the template has."""
    secrets, alarms, watched, dashboards = template_counts(template)
    price = model.price
    kept = price("dynamodb", "storage") + price("dynamodb", "point_in_time_recovery")
    rows = [
        (f"{secrets} secrets", usd(secrets * price("secrets_manager", "secret")), "each until it is deleted"),
        (
            f"{alarms} alarms on {watched} metrics",
            usd(max(0, watched - FREE_ALARMS) * price("cloudwatch", "alarm")),
            f"{FREE_ALARMS} are free in an account; with none free {usd(watched * price('cloudwatch', 'alarm'))}",
        ),
        (
            f"{dashboards} dashboard",
            usd(max(0, dashboards - FREE_DASHBOARDS) * price("cloudwatch", "dashboard")),
            f"{FREE_DASHBOARDS} are free in an account; else {usd(dashboards * price('cloudwatch', 'dashboard'))}",
        ),
        (
            "custom metrics",
            "0",
            f"{usd(price('cloudwatch', 'metric'))} each and month, by the hours that it is written in",
        ),
        (
            "table, point-in-time recovery",
            "0",
            f"{usd(kept)} a GB and month; empty some days after the last message",
        ),
        (
            "logs kept",
            "0",
            f"{usd(price('cloudwatch', 'log_storage'))} a GB and month, until `LogRetentionDays` are over",
        ),
        ("functions, gateways, stream, queue", "0", "nothing runs, nothing is billed"),
    ]
    return table(["a stack that nobody uses", "USD a month", ""], rows).replace("---: |\n", "--- |\n", 1)


def template_counts(template: str) -> tuple[int, int, int, int]:
    """Secrets, alarms, the metrics that these look at, and dashboards."""
    resources = re.split(r"\n(?=  \w+:\n)", template)
    alarms = [resource for resource in resources if "Type: AWS::CloudWatch::Alarm" in resource]
    watched = sum(max(1, len(re.findall(r"\bMetricName:", alarm))) for alarm in alarms)
    kinds = [
        sum(f"Type: {kind}" in one for one in resources)
        for kind in ("AWS::SecretsManager::Secret", "AWS::CloudWatch::Dashboard")
    ]
    return kinds[0], len(alarms), watched, kinds[1]


def prices(price: PriceList) -> str:
    rows = [
        (
            f"[{service.replace('_', ' ')}]({about['source']})",
            "; ".join(f"{_plain(one['usd'])} {_per(one['per'])}{one['unit']}" for one in about["prices"].values()),
            about["asOf"] or "no date",
        )
        for service, about in price.services.items()
    ]
    return table(["page", "USD", "newest copy"], rows).replace("---: | ---: |\n", "--- | --- |\n", 1)


def _model_seconds(load: Workload) -> dict[str, float]:
    """The time to the first token that makes the whole answer take so long."""
    talks = load.answer_tokens / load.tokens_per_second
    return {f"{whole:g} s": whole - talks for whole in (load.model_seconds, 5, 10, 20, 60)}


def _tokens(model: CostModel) -> str:
    return usd(total(model.model_tokens()))


def _plain(amount: float) -> str:
    return f"{amount:.10f}".rstrip("0").rstrip(".")


def _per(number: int) -> str:
    return {1: "a ", 10_000: "per 10,000 ", 1_000_000: "per million "}[number]


def main() -> None:
    try:
        made = tables(read())
    except NotMeasured as exc:
        sys.exit(str(exc))
    for name, text in made.items():
        sys.stdout.write(f"\n{name}\n\n{text}\n")
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), made))


if __name__ == "__main__":
    main()
