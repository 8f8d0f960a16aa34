"""What this machine offers: a clean environment for what we start, free ports, the runtime to build for."""

import json
import os
import platform
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

REGION = "us-east-1"

# What a process needs of the developer's environment. No AWS profile, PYTHONPATH or the like leaks into the stack:
# MiniStack hands its environment on to every function.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PACKAGE_INDEX = ("PIP_", "UV_")


def clean_environment() -> dict[str, str]:
    """The few variables that everything we start needs, with this virtual environment first on the path."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    environment["NO_PROXY"] = ",".join(filter(None, [environment.get("NO_PROXY"), "127.0.0.1,localhost"]))
    return environment


def aws_environment(endpoint: str) -> dict[str, str]:
    """Points AWS's tools at the local stack and at no account, profile or metadata service."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def package_index_environment() -> dict[str, str]:
    """The developer's settings of the package index, for `sam build`."""
    return {name: value for name, value in os.environ.items() if name.startswith(PACKAGE_INDEX)}


def runtime() -> str:
    """The Lambda runtime of the interpreter that runs MiniStack and so the functions."""
    return f"python3.{sys.version_info.minor}"


def architecture() -> str:
    """This machine's processor, in Lambda's words."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


class Ports:
    """Ports of the stack's servers, kept in a file so that its URLs stay the same when it starts again."""

    def __init__(self, file: Path, preferred: Mapping[str, int]) -> None:
        self._file = file
        self._preferred = preferred

    def claim(self, server: str) -> int:
        """The port that `server` had, else the preferred one, else any: whichever is free now."""
        candidates = [self._kept().get(server), self._preferred.get(server), 0]
        port = next(found for candidate in candidates if candidate is not None and (found := free_port(candidate)))
        self._keep(server, port)
        return port

    def of(self, server: str) -> int:
        """The port that `server` was given. Raises KeyError when it never had one."""
        return self._kept()[server]

    def _kept(self) -> dict[str, int]:
        if not self._file.exists():
            return {}
        ports: dict[str, int] = json.loads(self._file.read_text())
        return ports

    def _keep(self, server: str, port: int) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._kept() | {server: port}))


def free_port(port: int) -> int | None:
    """`port` if it can be bound (any free one for 0), else None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        bound: int = probe.getsockname()[1]
        return bound
