from pathlib import Path

import pytest

from local.errors import LocalStackError
from local.options import from_environment


def test_nothing_said_means_the_small_model() -> None:
    assert from_environment({}).small_model


def test_cloudflares_account_and_token_mean_cloudflare() -> None:
    options = from_environment({"CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_API_TOKEN": "t"})
    assert options.cloudflare and not options.small_model


def test_an_account_without_a_token_means_the_small_model() -> None:
    assert from_environment({"CLOUDFLARE_ACCOUNT_ID": "a"}).small_model


def test_a_base_url_goes_over_cloudflare() -> None:
    options = from_environment(
        {"CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_API_TOKEN": "t", "WORKERS_AI_BASE_URL": "http://ollama/v1"}
    )
    assert not options.cloudflare and not options.small_model


def test_parameters_are_split_as_a_shell_would() -> None:
    options = from_environment({"PARAMS": "LeaseSeconds=5 Model='@cf/some model' FallbackModel="})
    assert options.parameters == {"LeaseSeconds": "5", "Model": "@cf/some model", "FallbackModel": ""}


@pytest.mark.parametrize("text", ["LeaseSeconds", "=5", "A=1 B"])
def test_parameters_without_a_name_or_value_are_refused(text: str) -> None:
    with pytest.raises(LocalStackError, match="Name=Value"):
        from_environment({"PARAMS": text})


def test_a_model_path_may_be_relative() -> None:
    assert from_environment({"AI_MODEL_PATH": "some.gguf"}).model_path == Path.cwd() / "some.gguf"
