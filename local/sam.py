"""SAM CLI: builds the template for this machine and deploys it to the local stack."""

import fcntl
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from local.errors import LocalStackError
from local.host import architecture, aws_environment, clean_environment, package_index_environment, runtime
from local.places import CHECKOUT, LOCAL, SAM_CONFIG, TEMPLATE, TOOLS
from local.process import run_to_end

EXECUTABLE = TOOLS / "sam" / "bin" / "sam"
BUILD_LOCK = LOCAL / "sam-build.lock"
POLL_SECONDS = 0.2  # how often SAM CLI asks how far a deployment is


class Sam:
    """SAM CLI with its build output in `build` and its log in `directory`."""

    def __init__(self, directory: Path, build: Path) -> None:
        self._directory = directory
        self._build = build

    @property
    def output(self) -> Path:
        """The built template's directory, one subdirectory a function and a layer."""
        return self._build / "output"

    def build(self) -> None:
        """Builds and compiles functions and layers for the interpreter that runs us. Raises LocalStackError."""
        overrides = [f"{name}={value}" for name, value in build_parameters().items()]
        cache = ["--build-dir", str(self.output), "--cache-dir", str(self._build / "cache")]
        with sole_build():
            self._run("build", "--template-file", str(TEMPLATE), *cache, "--parameter-overrides", *overrides)
        self._compile()

    def deploy(self, endpoint: str, stack: str, parameters: Mapping[str, str]) -> None:
        """Deploys what was built. Raises LocalStackError."""
        template_file = self.output / "template.yaml"
        overrides = self._write_parameters(completed(build_parameters() | dict(parameters), template_file))
        template = ["--template-file", str(template_file), "--stack-name", stack]
        try:
            self._run("deploy", *template, "--parameter-overrides", f"file://{overrides}", endpoint=endpoint)
        finally:
            overrides.unlink()

    def _compile(self) -> None:
        log = self._directory / "compile.log"
        with log.open("w") as output:
            command = [sys.executable, str(CHECKOUT / "local" / "bytecode.py"), str(self.output)]
            if run_to_end(command, clean_environment() | {"PYTHONHASHSEED": "0"}, output):
                raise LocalStackError(f"what was built cannot be compiled:\n{log.read_text()[-3000:]}")

    def _write_parameters(self, parameters: Mapping[str, str]) -> Path:
        """A file, because a command line is readable by every user of the machine, and one of them is the API token."""
        file = self._directory / "parameters.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(parameters))  # JSON is YAML
        return file

    def _run(self, command: str, *arguments: str, endpoint: str = "") -> None:
        if not EXECUTABLE.exists():
            raise LocalStackError("SAM CLI is not installed: run `make up` or `make run`, which install it")
        log = self._directory / f"sam-{command}.log"
        config = ["--config-file", str(SAM_CONFIG), "--config-env", "local"]
        with log.open("w") as output:
            status = run_to_end([str(EXECUTABLE), command, *config, *arguments], self._environment(endpoint), output)
        if status:
            raise LocalStackError(f"sam {command} failed:\n{log.read_text()[-3000:]}")

    def _environment(self, endpoint: str) -> dict[str, str]:
        return {
            **clean_environment(),
            **package_index_environment(),
            **aws_environment(endpoint),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": str(POLL_SECONDS),
            "__SAM_CLI_APP_DIR": str(TOOLS / "sam-home"),
        }


@contextmanager
def sole_build() -> Iterator[None]:
    """Waits for another build in this checkout to end, wherever its output goes.

    Each ends by deleting the dependencies that it does not know from ``.aws-sam/deps``, which all of them share.
    """
    BUILD_LOCK.parent.mkdir(parents=True, exist_ok=True)
    with BUILD_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def completed(parameters: Mapping[str, str], template: Path) -> dict[str, str]:
    """The parameters, and the template's defaults of all others, which SAM CLI would leave as they were last time.

    Raises LocalStackError for one that the template does not have: AWS refuses it, MiniStack does not.
    """
    known = yaml.safe_load(template.read_text())["Parameters"]
    if unknown := sorted(parameters.keys() - known.keys()):
        raise LocalStackError(f"The template has no parameter {', '.join(unknown)}. It has: {', '.join(sorted(known))}")
    return {name: str(about["Default"]) for name, about in known.items() if "Default" in about} | dict(parameters)


def build_parameters() -> dict[str, str]:
    """Template parameters that make the build fit this machine."""
    return {"PythonRuntime": runtime(), "Architecture": architecture()}
