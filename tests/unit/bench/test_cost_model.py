"""The cost model, and the tables of docs/cost.md. What it takes from `make bench` is played by some_results.json."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bench import cost_tables, footprint, measured, words
from bench.cost_model import (
    ENDING,
    GATEWAY,
    LOGS,
    READ_ALONG,
    READS,
    REQUESTS,
    WAITING,
    WORKING,
    WRITES,
    CostModel,
    PriceList,
    Workload,
    total,
)
from bench.documents import Unnamed, filled, table, usd
from bench.measured import NotMeasured, read
from copilotedge import frames
from copilotedge.models import Finished, TextDelta, Usage
from copilotedge.settings import Settings
from tests.fakes import World
from tests.simulation.loop import run_virtual

CHECKOUT = Path(__file__).resolve().parent.parent.parent.parent
SOME = Path(__file__).with_name("some_results.json")
COMMITTED = measured.RESULTS if measured.RESULTS.exists() else SOME
"""What the documents are made from."""


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel(read(SOME))


# --- Words on their way out ------------------------------------------------------------------------------------------


class EvenModel:
    """Says so many tokens, so many a second."""

    def __init__(self, tokens: int, tokens_per_second: float) -> None:
        self.tokens, self.pause = tokens, 1 / tokens_per_second

    async def stream(self, request: Any) -> Any:
        for number in range(self.tokens):
            if number:
                await asyncio.sleep(self.pause)
            yield TextDelta("x" * words.CHARACTERS_PER_TOKEN)
        yield Finished(Usage(5120, self.tokens), request.model)


async def heard(tokens: int, tokens_per_second: float) -> list[dict[str, Any]]:
    """The frames of a turn's socket."""
    world = World(lease_seconds=120)
    world.model.stream = EvenModel(tokens, tokens_per_second).stream
    await world.connect("s1")
    await world.say("s1", "x" * 512)
    await world.work()
    return world.gateway.frames["s1"]


@pytest.mark.parametrize("tokens_per_second", [5, 20, 24, 30, 40, 70, 1000])
def test_the_frames_that_are_billed_are_those_that_a_socket_gets(tokens_per_second):
    got = run_virtual(heard(128, tokens_per_second))
    assert sum(frame["type"] == "delta" for frame in got) == words.delta_frames(128, tokens_per_second)
    assert len(got) == words.over_a_socket(128, 128, tokens_per_second).messages


def test_their_bytes_are_about_those_that_a_socket_gets():
    got = sum(len(frames.dump(frame)) for frame in run_virtual(heard(128, 40)))
    assert words.over_a_socket(128, 128, 40).bytes == pytest.approx(got, rel=0.1)


def test_no_words_no_frames():
    assert words.delta_frames(0, 40) == 0
    assert words.delta_frames(1, 40) == 1


def test_a_stream_has_an_event_a_token():
    few, many = (words.over_a_stream(tokens, "m") for tokens in (10, 20))
    assert many.messages - few.messages == 10
    assert 150 < (many.bytes - few.bytes) / 10 < 400


# --- Bills -----------------------------------------------------------------------------------------------------------


def test_waiting_is_the_models_time_at_the_price_of_the_memory(model):
    gigabyte, half = model.given(memory_mb=1024).rest(), model.given(memory_mb=512).rest()
    assert gigabyte[WAITING] == pytest.approx((0.5 + 128 / 40) * 0.0000133334 * 10**6)
    assert half[WAITING] == gigabyte[WAITING] / 2


def test_every_door_waits_as_long(model):
    assert model.rest()[WAITING] == model.stream()[WAITING] == model.websocket()[WAITING]


def test_less_memory_takes_more_time_for_the_same_work(model):
    whole, half = model.given(memory_mb=1769), model.given(memory_mb=884)
    assert half.rest()[WORKING] > whole.rest()[WORKING] / 2


def test_a_rest_turn_by_hand(model):
    bill = model.rest()
    assert bill[REQUESTS] == pytest.approx(0.4)
    assert bill[GATEWAY] == pytest.approx(1.0)
    assert bill[WRITES] == pytest.approx(9 * 0.625)
    assert bill[READS] == pytest.approx((10 + 3.7 // 0.8) * 0.125)


def test_the_lease_is_renewed_while_a_slow_model_talks(model):
    slow = model.given(first_token_seconds=30.0)
    assert slow.rest()[WRITES] == pytest.approx((9 + 33.2 // 10) * 0.625)


def test_what_a_rest_caller_cannot_wait_for_is_waited_for_twice(model):
    slow = model.given(first_token_seconds=30.0)
    assert slow.rest()[WAITING] == pytest.approx(slow.stream()[WAITING] * (33.2 + 25) / 33.2)


def test_each_socket_pays_for_its_frames(model):
    none, one, ten = (model.given(sockets=sockets).websocket()[GATEWAY] for sockets in (0, 1, 10))
    assert none == pytest.approx(1.0)
    assert ten - none == pytest.approx(10 * (one - none))
    assert one - none == pytest.approx(words.over_a_socket(128, 128, 40).messages + 2 * 2 / 5)


def test_the_stream_has_no_gateway(model):
    assert model.stream()[GATEWAY] == 0
    assert model.stream()[REQUESTS] < model.rest()[REQUESTS]


def test_a_shorter_window_reads_less_of_table_and_model(model):
    short = model.given(window_messages=4)
    assert short.rest()[READS] < model.rest()[READS]
    assert short.model_tokens()["Tokens read"] == pytest.approx(model.model_tokens()["Tokens read"] / 10)


def test_the_window_ends_with_its_characters():
    assert Workload(question_tokens=2000, answer_tokens=2000).prompt_tokens == 6000


def test_the_models_tokens_have_its_published_price(model):
    tokens = model.model_tokens()
    assert tokens["Tokens read"] == pytest.approx(5120 * 0.282, rel=1e-3)
    assert tokens["Tokens said"] == pytest.approx(128 * 0.827, rel=1e-3)


def test_a_peer_differs_in_its_store_and_deletes_nothing(model):
    bill = model.peer(model.measured.langchain[198])
    assert bill[WRITES] == pytest.approx(245 * 0.625)
    assert bill[READS] == pytest.approx(46.5 * 0.125)
    assert bill[ENDING] == 0
    assert bill[WAITING] == model.rest()[WAITING]
    assert total(bill) > total(model.rest())


def test_the_original_does_not_pay_for_waiting(model):
    slow = model.given(first_token_seconds=60.0)
    assert slow.original(100, "sqlite") == model.original(100, "sqlite")


def test_the_originals_store_grows_on_key_value_storage_alone(model):
    def written(stored: int, backend: str) -> float:
        return model.original(stored, backend)["Durable Object: storage written"]

    assert written(198, "kv") > 10 * written(10, "kv")
    assert written(198, "sqlite") == written(10, "sqlite") == pytest.approx(2.0)


def test_an_object_that_waits_pays_for_128_megabytes(model):
    assert model.durable_object()["Durable Object: duration"] == pytest.approx(3.7 * 0.128 * 12.5)


def test_an_items_size_is_what_a_query_shows(model):
    assert model.stored_bytes == pytest.approx(2 * 10 * 4096 / (40 + READ_ALONG))
    longer = model.given(answer_tokens=256)
    assert longer.stored_bytes - model.stored_bytes == pytest.approx(128 * words.CHARACTERS_PER_TOKEN)


def test_what_is_rare_costs_little(model):
    assert all(0 < cost < 30 for cost in model.asides().values())
    assert model.asides()["a cold start"] == pytest.approx(0.54 * 13.3334 + 5)


def test_logs_are_billed_by_their_bytes(model):
    assert 0 < model.rest()[LOGS] < 5


# --- What goes in ----------------------------------------------------------------------------------------------------


def test_every_price_has_its_page():
    prices = PriceList()
    for service in prices.services.values():
        assert service["source"].startswith("https://")
        assert service["asOf"] is None or date.fromisoformat(service["asOf"])
        assert all(price["usd"] > 0 and price["per"] >= 1 and price["unit"] for price in service["prices"].values())
    assert prices("dynamodb", "write_unit") == 0.625 / 10**6


def test_what_was_not_measured_is_named(tmp_path):
    results = json.loads(SOME.read_text())
    incomplete = tmp_path / "results.json"
    with pytest.raises(NotMeasured, match="make bench"):
        read(incomplete)
    for lack, named in (
        ({"units": {}}, "ours"),
        ({"cpu": results["cpu"] | {"stream": {"stream-api": None}}}, "stream-api"),
    ):
        incomplete.write_text(json.dumps(results | lack))
        with pytest.raises(NotMeasured, match=named):
            read(incomplete)


def test_cold_starts_that_were_not_measured_are_left_out(model):
    unknown = CostModel(replace(model.measured, start_seconds=0.0))
    assert model.asides().keys() - unknown.asides().keys() == {"a cold start"}


def test_a_turn_logs_about_what_the_bill_is_made_from(tmp_path):
    """In a process of its own: the meter that it uses listens to all of botocore."""
    found = tmp_path / "footprint.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["functions", "."])}
    subprocess.run([sys.executable, "-m", "bench.footprint", str(found)], cwd=CHECKOUT, env=environment, check=True)
    now, committed = (json.loads(file.read_text())["log_bytes"] for file in (found, footprint.FILE))
    assert now == pytest.approx(committed, rel=0.25)


# --- The document ----------------------------------------------------------------------------------------------------


def test_the_document_has_the_tables_that_are_made_now():
    """If not: `make cost`, and look at what the text says of them."""
    text = cost_tables.DOCUMENT.read_text()
    assert filled(text, cost_tables.tables(read(COMMITTED))) == text


def test_tables_have_as_many_cells_in_each_row():
    for name, made in cost_tables.tables(read(SOME)).items():
        assert len({line.count("|") for line in made.split("\n")}) == 1, name


def test_the_template_tells_what_an_idle_stack_has():
    template = """\
Resources:
  Token:
    Type: AWS::SecretsManager::Secret
  One:
    Type: AWS::CloudWatch::Alarm
    Properties: { MetricName: Errors }
  Sum:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Metrics:
        - MetricStat: { Metric: { MetricName: A } }
        - MetricStat: { Metric: { MetricName: B } }
  Board:
    Type: AWS::CloudWatch::Dashboard
"""
    assert cost_tables.template_counts(template) == (1, 2, 3, 1)


def test_a_place_without_a_table_is_no_place():
    with pytest.raises(Unnamed, match="other"):
        filled("<!-- table: one -->\n<!-- end -->", {"other": "text"})


def test_a_table_takes_the_place_of_the_one_before():
    once = filled("<!-- table: one -->\nold\n<!-- end -->\nrest", {"one": table(["a", "b"], [(1, 2)])})
    assert once == "<!-- table: one -->\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n<!-- end -->\nrest"
    assert filled(once, {"one": "new"}).count("new") == 1


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (0.125, "0.12"), (9.9, "9.90"), (61.74, "61.7"), (1559.2, "1,559")]
)
def test_dollars_have_three_figures(amount, text):
    assert usd(amount) == text


def test_the_workload_is_the_deployments_own():
    assert Workload().window_messages == Settings().history_window_messages
    assert Workload().model_seconds == pytest.approx(3.7)
