"""What models cost."""

from decimal import Decimal

import pytest

from copilotedge.models import Usage
from copilotedge.prices import Price, Prices, dollars
from copilotedge.settings import Settings

LLAMA = "@cf/meta/llama-3.1-8b-instruct"


@pytest.fixture
def prices() -> Prices:
    return Prices.published()


def test_the_default_model_costs_what_cloudflare_publishes(prices):
    assert prices.cost(LLAMA, Usage(1_000_000, 0)) == 282_000_000
    assert prices.cost(LLAMA, Usage(0, 1_000_000)) == 827_000_000


def test_a_turn_costs_its_prompt_and_its_answer(prices):
    assert prices.cost("@cf/openai/gpt-oss-20b", Usage(10, 20)) == 10 * 200 + 20 * 300


def test_nothing_used_costs_nothing(prices):
    assert prices.cost(LLAMA, Usage()) == 0


def test_a_model_without_a_price_has_no_cost_rather_than_none_at_all(prices):
    assert prices.cost("@cf/some/new-model", Usage(10, 20)) is None
    assert not prices.knows("@cf/some/new-model")


def test_parts_of_a_nanodollar_are_rounded_up():
    cheap = Prices({"cheap": Price(Decimal("0.0001"), Decimal(0))})
    assert cheap.cost("cheap", Usage(1, 0)) == 1
    assert cheap.cost("cheap", Usage(11, 0)) == 2


def test_every_published_price_is_of_a_text_model_at_cloudflare(prices):
    models = prices.offered(Settings())
    assert len(models) >= 20
    assert all(model.name.startswith("@cf/") and model.price.input > 0 for model in models)


def test_the_default_model_has_a_price(prices):
    assert prices.knows(Settings().model)


def test_a_table_of_ones_own_goes_over_the_published_one():
    prices = Prices.published(
        '{"@cf/meta/llama-3.1-8b-instruct": {"input": 1, "output": 2.5}, "mine": {"input": 0, "output": 0}}'
    )
    assert prices.cost(LLAMA, Usage(1, 1)) == 3500
    assert prices.cost("mine", Usage(5, 5)) == 0
    assert prices.knows("@cf/openai/gpt-oss-120b")


def test_models_are_listed_by_name_with_those_that_have_no_price():
    listed = Prices({"b": Price(Decimal(1), Decimal(2))}).offered(Settings(model="c", fallback_model="a"))
    assert [(model.name, model.price is None) for model in listed] == [("a", True), ("b", False), ("c", True)]


def test_where_the_models_are_named_no_other_is_listed():
    table = {"b": Price(Decimal(1), Decimal(2)), "dear": Price(Decimal(100), Decimal(200))}
    listed = Prices(table).offered(Settings(model="a", allowed_models="b,c"))
    assert [model.name for model in listed] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("{", "PRICE_TABLE is not JSON"),
        ("[" * 100_000, "PRICE_TABLE is not JSON"),
        ("[]", "PRICE_TABLE must be a JSON object"),
        ('{"m": 1}', "the price of 'm' must be {"),
        ('{"m": {"input": 1}}', "the price of 'm' must be {"),
        ('{"m": {"input": 1, "output": 1, "cached": 1}}', "the price of 'm' must be {"),
        ('{"m": {"input": -1, "output": 1}}', "the price of 'm' must be numbers"),
        ('{"m": {"input": "1", "output": 1}}', "the price of 'm' must be numbers"),
        ('{"m": {"input": true, "output": 1}}', "the price of 'm' must be numbers"),
        ('{"m": {"input": 1e999999999, "output": 1}}', "the price of 'm' must be numbers"),
        ('{"m": {"input": NaN, "output": 1}}', "the price of 'm' must be numbers"),
        ('{"m": {"input": Infinity, "output": 1}}', "the price of 'm' must be numbers"),
    ],
)
def test_a_table_that_is_wrong_says_where(table, complaint):
    with pytest.raises(ValueError, match="PRICE_TABLE") as caught:
        Prices.published(table)
    assert complaint in str(caught.value)


def test_people_read_dollars():
    assert dollars(1_234_500) == 0.0012345
