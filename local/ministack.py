"""AWS on this machine: MiniStack as a background process."""

import shutil
import sys
import urllib.request
from pathlib import Path

import boto3

from local.host import REGION, Ports, aws_environment, clean_environment
from local.process import Process

EMULATOR = "local.emulator"
HEALTH_SECONDS = 1.0
START_SECONDS = 60.0


class MiniStack:
    """MiniStack with its state in `directory`. What it knows survives `stop` and `start`, but not a kill.

    `emulator` is the module to run: MiniStack with our patches.
    """

    def __init__(self, directory: Path, ports: Ports, emulator: str = EMULATOR) -> None:
        self._directory = directory
        self._ports = ports
        self._emulator = emulator
        self._process = Process("ministack", directory)

    @property
    def endpoint(self) -> str:
        """Base URL of every AWS service."""
        return f"http://127.0.0.1:{self._ports.of('aws')}"

    def running(self) -> bool:
        """Whether it has been started, by us or by an earlier command."""
        return self._process.running()

    def start(self) -> None:
        """Starts it unless it runs. Raises LocalStackError when it does not come up."""
        if not self.running():
            port = self._ports.claim("aws")
            shutil.rmtree(self._directory / "tmp", ignore_errors=True)  # unpacked functions of the last time
            (self._directory / "tmp").mkdir(parents=True)
            self._process.start([sys.executable, "-m", self._emulator], self._environment(port))
        self._process.wait_until(self._healthy, START_SECONDS)

    def stop(self) -> None:
        """Ends it and its functions, after it has written its state."""
        self._process.stop()

    def session(self) -> boto3.Session:
        """A boto3 session with the stack's credentials. Clients of it still need `endpoint_url`."""
        return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=HEALTH_SECONDS) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _environment(self, port: int) -> dict[str, str]:
        return {
            **clean_environment(),
            **aws_environment(f"http://127.0.0.1:{port}"),
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(self._directory / "aws"),
            "S3_DATA_DIR": str(self._directory / "s3"),
            "TMPDIR": str(self._directory / "tmp"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
            "DOCKER_HOST": f"unix://{self._directory}/no-docker.sock",  # it would remove containers of other MiniStacks
        }
