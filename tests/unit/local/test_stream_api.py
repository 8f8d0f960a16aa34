from pathlib import Path
from typing import Any

import pytest

from local.host import Ports
from local.stream_api import STREAM_API, StreamApi, credentials, kept_layer

SERVER = """#!/usr/bin/env python3
import http.server, os, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
print(os.environ["MODEL"], os.environ["AWS_ACCESS_KEY_ID"], os.environ["PYTHONPATH"], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["AWS_LWA_PORT"])), Healthy).serve_forever()
"""


class FakeAws:
    """A stack whose one function has these settings."""

    def __init__(self, **settings: str) -> None:
        self.settings = settings

    def __call__(self, _service: str) -> Any:
        return self

    def get_function_configuration(self, **_: str) -> dict[str, Any]:
        return {"Role": "arn:role", "Handler": "run.sh", "Environment": {"Variables": self.settings}}

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        key = f"key of {asked['RoleArn']} for {asked['RoleSessionName']}"
        return {"Credentials": {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t"}}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    output = tmp_path / "build" / "output"
    (output / "VendorLayer" / "python" / "starlette-1.0.dist-info").mkdir(parents=True)
    (output / "StreamFunction").mkdir()
    handler = output / "StreamFunction" / "run.sh"
    handler.write_text(SERVER)
    handler.chmod(0o755)
    return output


def test_it_runs_as_its_function_is_configured_each_time_it_starts(tmp_path: Path, build: Path) -> None:
    api = StreamApi(tmp_path / "state", Ports(tmp_path / "ports.json", {}), build)
    api.install()
    try:
        for model in ("one", "other"):
            api.start(FakeAws(MODEL=model), "http://aws", "mine-stream-api")
            code, layer = tmp_path / "state" / STREAM_API, tmp_path / "state" / f"{STREAM_API}-layer"
            expected = f"{model} key of arn:role for mine-stream-api {code}:{layer}/python"
            assert expected in api.log.read_text().splitlines()
    finally:
        api.stop()


def test_it_is_what_was_installed_whatever_is_built_later(tmp_path: Path, build: Path) -> None:
    api = StreamApi(tmp_path / "state", Ports(tmp_path / "ports.json", {}), build)
    api.install()
    (build / "StreamFunction" / "run.sh").unlink()
    (build / "StreamFunction" / "new.sh").touch()
    assert [found.name for found in (tmp_path / "state" / STREAM_API).iterdir()] == ["run.sh"]
    api.install()
    assert [found.name for found in (tmp_path / "state" / STREAM_API).iterdir()] == ["new.sh"]


def test_a_layer_is_copied_once_for_the_same_packages(build: Path) -> None:
    first = kept_layer(build / "VendorLayer")
    assert first.parent == build.parent and (first / "python").is_dir()
    assert kept_layer(build / "VendorLayer") == first
    (build / "VendorLayer" / "python" / "uvicorn-1.0.dist-info").mkdir()
    assert kept_layer(build / "VendorLayer") != first


def test_credentials_are_those_of_the_role_under_the_functions_name() -> None:
    found = credentials(FakeAws(), "arn:role", "mine-stream-api")
    assert found == {
        "AWS_ACCESS_KEY_ID": "key of arn:role for mine-stream-api",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
    }
