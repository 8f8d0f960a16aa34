"""Settings, and the template that hands them to the functions."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from copilotedge.settings import Settings

TEMPLATE = Path(__file__).parent.parent.parent / "template.yaml"
NOT_OURS = {"POWERTOOLS_LOG_LEVEL", "RELEASE", "SETTINGS_VERSION"}
OTHERWISE_IN_TESTS = {"AUTOMATIC_TITLES"}
"""Off where no template speaks, so that a test's model is asked what the test asks."""


class _Cloudformation(yaml.SafeLoader):
    """Reads ``!Ref Name`` as the parameter's name, and the other short forms as None."""


_Cloudformation.add_multi_constructor(
    "!", lambda loader, tag, node: loader.construct_scalar(node) if tag == "Ref" else None
)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.load(TEMPLATE.read_text(), _Cloudformation)


@pytest.fixture(scope="module")
def variables(template) -> dict[str, Any]:
    return template["Globals"]["Function"]["Environment"]["Variables"]


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"MODEL": "", "MAX_ATTEMPTS": ""}) == Settings()


def test_each_variable_sets_the_field_of_its_name():
    given = {"MODEL": "m", "MAX_ATTEMPTS": "2", "LEASE_SECONDS": "7.5", "ENABLE_CONVERSATIONS": "false", "OTHER": "x"}
    settings = Settings.from_environment(given)
    assert (settings.model, settings.max_attempts, settings.lease_seconds) == ("m", 2, 7.5)
    assert not settings.enable_conversations


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("ON", True), ("false", False), ("0", False)]
)
def test_booleans_are_read_from_their_usual_words(text, expected):
    assert Settings.from_environment({"ENABLE_CONVERSATIONS": text}).enable_conversations is expected


@pytest.mark.parametrize("name", ["MAX_ATTEMPTS", "LEASE_SECONDS"])
def test_a_variable_that_does_not_parse_is_named(name):
    with pytest.raises(ValueError, match=name):
        Settings.from_environment({name: "many"})


def test_a_boolean_that_does_not_parse_is_named():
    with pytest.raises(ValueError, match="ENABLE_CONVERSATIONS"):
        Settings.from_environment({"ENABLE_CONVERSATIONS": "ture"})


def test_the_template_sets_every_field_and_nothing_else(variables):
    assert set(variables) - NOT_OURS == {field.name.upper() for field in fields(Settings)}


def test_every_parameters_default_parses_to_ours(template, variables):
    parameters = template["Parameters"]
    given = {
        name: str(parameters[source]["Default"])
        for name, source in variables.items()
        if name not in NOT_OURS | OTHERWISE_IN_TESTS and source in parameters
    }
    assert len(given) > 20
    settings = Settings.from_environment(given)
    assert {name: getattr(settings, name.lower()) for name in given} == {
        name: getattr(Settings(), name.lower()) for name in given
    }


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("https://a.b/live", "wss://a.b/live"), ("http://localhost:1/x", "ws://localhost:1/x"), ("", "")],
)
def test_clients_connect_where_the_gateway_is(endpoint, expected):
    assert Settings(websocket_endpoint=endpoint).websocket_url == expected


def test_times_are_in_milliseconds():
    settings = Settings(inactivity_hours=0.5, lease_seconds=1.5)
    assert (settings.inactivity_ms, settings.lease_ms) == (1_800_000, 1_500)


def test_a_snapshot_reads_the_window_and_one_exchange_more():
    assert Settings(history_window_messages=8).snapshot_messages == 10


def test_any_model_may_be_named_where_the_deployment_says_nothing():
    settings = Settings(model="own")
    assert settings.allows("dear")
    assert settings.model_for("", "dear") == "dear"
    assert settings.model_for("", "") == "own"


def test_only_the_models_that_the_deployment_names_and_its_own_are_asked():
    settings = Settings(model="own", fallback_model="second", allowed_models=" small , other,")
    assert settings.models == {"own", "second", "small", "other"}
    assert [settings.allows(name) for name in ("", "own", "second", "small", "dear")] == [True, True, True, True, False]
    assert settings.model_for("dear", "small") == "small"
    assert settings.model_for("dear") == "own"
