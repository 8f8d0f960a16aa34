"""How late DynamoDB removes what has expired, as the janitor reckons it from what is left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import janitor
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Swept
from copilotedge.settings import Settings
from tests.fakes import FakeLog, FakeMetrics

EVENT = Path(__file__).parent.parent.parent / "events" / "janitor-state-removed.json"
REMOVED_AT = 1_795_435_200
DAY = 86_400


@dataclass
class Store:
    answers: list[Swept | Exception]

    async def sweep(self, _: str) -> Swept:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class App:
    """What the janitor needs of ``wiring.Application``."""

    store: Store
    settings: Settings = field(default_factory=Settings)
    log: FakeLog = field(default_factory=FakeLog)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)

    def run(self, work: Any) -> Any:
        try:
            work.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("It waits for something.")


def records(number: int, **changes: Any) -> dict[str, Any]:
    (record,) = json.loads(EVENT.read_text())["Records"]
    return {"Records": [record | changes for _ in range(number)]}


def test_lags_are_counted_together():
    """Inactive for a day, removed an hour and ten days later."""
    written = [(REMOVED_AT - DAY - lag) * 1000 for lag in (3600, 10 * DAY)]
    app = App(Store([Swept(3, at) for at in written]))
    assert janitor.handle(app, records(2)) == {"batchItemFailures": []}
    assert app.metrics.counts == [{"ExpiredConversations": 2, "TtlLag": [3600, 10 * DAY]}]


def test_what_was_removed_to_the_second_is_not_early():
    app = App(Store([Swept(1, (REMOVED_AT - DAY) * 1000 + 900)]))
    janitor.handle(app, records(1))
    assert app.metrics.counts == [{"ExpiredConversations": 1, "TtlLag": [0.0]}]


@pytest.mark.parametrize(
    ("swept", "changes"),
    [(Swept(0), {}), (Swept(3, 1000), {"userIdentity": {"principalId": "AIDA", "type": "IAMUser"}})],
    ids=["no message is left", "somebody deleted it"],
)
def test_where_no_lag_can_be_known_none_is_counted(swept, changes):
    app = App(Store([swept]))
    janitor.handle(app, records(1, **changes))
    assert app.metrics.counts == []


def test_what_was_swept_before_a_failure_is_counted():
    app = App(Store([Swept(1, (REMOVED_AT - DAY) * 1000), StoreUnavailable("Throttled.")]))
    assert len(janitor.handle(app, records(3))["batchItemFailures"]) == 1
    assert app.metrics.sum("ExpiredConversations") == 1
