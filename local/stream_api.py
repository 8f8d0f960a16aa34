"""The stream API on this machine: what Lambda would start, as a background process.

MiniStack's function URLs give an answer only when it is whole, so nothing calls the function there. It runs as it was
built and deployed: with its layer, its settings, and credentials of its role.
"""

import hashlib
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.deployed import ALIAS
from local.host import Ports, aws_environment, clean_environment, runtime
from local.process import Process

STREAM_API = "stream-api"
FUNCTION, LAYER = "StreamFunction", "VendorLayer"  # their logical ids, after which `sam build` names its directories
SESSION_SECONDS = 12 * 3600
START_SECONDS = 60.0


class StreamApi:
    """The function `stream-api` of the stack whose state is in `directory`; `build` is what `sam build` has made."""

    def __init__(self, directory: Path, ports: Ports, build: Path) -> None:
        self._ports = ports
        self._build = build
        self._code = directory / STREAM_API
        self._layer = directory / f"{STREAM_API}-layer"
        self._process = Process(STREAM_API, directory, keep_log=True)

    @property
    def url(self) -> str:
        """Base URL of its routes, without a slash at its end."""
        return f"http://127.0.0.1:{self._ports.of(STREAM_API)}"

    @property
    def log(self) -> Path:
        """Everything that it has logged, over all its starts."""
        return self._process.log

    def install(self) -> None:
        """Copies what is built now, for the next build may come while it runs. The next start takes it."""
        shutil.rmtree(self._code, ignore_errors=True)
        shutil.copytree(self._build / FUNCTION, self._code)
        self._layer.unlink(missing_ok=True)
        self._layer.symlink_to(kept_layer(self._build / LAYER), target_is_directory=True)

    def start(self, clients: Callable[[str], Any], endpoint: str, function: str) -> None:
        """Starts it afresh with the settings of the live version. Raises LocalStackError when it does not come up."""
        self._process.stop(timeout=5)
        configuration = clients("lambda").get_function_configuration(FunctionName=function, Qualifier=ALIAS)
        environment = {
            **clean_environment(),
            **aws_environment(endpoint),
            **configuration["Environment"]["Variables"],
            **credentials(clients("sts"), configuration["Role"], function),
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "LAMBDA_TASK_ROOT": str(self._code),
            "PYTHONPATH": f"{self._code}:{self._layer}/python",
            "AWS_LWA_PORT": str(self._ports.claim(STREAM_API)),
        }
        self._process.start([str(self._code / configuration["Handler"])], environment)
        self._process.wait_until(self._healthy, START_SECONDS)

    def stop(self) -> None:
        """Ends it."""
        self._process.stop(timeout=5)

    def kill(self) -> None:
        """Ends it as a crash of its machine would."""
        self._process.kill()

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def kept_layer(built: Path) -> Path:
    """A copy of the layer beside the build, which stays as long as its packages do: a new one has to be compiled."""
    packages = sorted(found.name for found in built.glob("python/*.dist-info"))
    fingerprint = hashlib.sha256(" ".join([runtime(), *packages]).encode()).hexdigest()
    kept = built.parent.with_name(f"layer-{fingerprint[:16]}")
    if not kept.exists():
        part = kept.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(built, part)
        part.rename(kept)
    return kept


def credentials(sts: Any, role: str, function: str) -> dict[str, str]:
    """Of the function's role, as Lambda hands them to it."""
    session = sts.assume_role(RoleArn=role, RoleSessionName=function, DurationSeconds=SESSION_SECONDS)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
