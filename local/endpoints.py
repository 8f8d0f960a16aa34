"""Where a running stack is reached, kept in a file for people, tests and tools."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Endpoints:
    """The URLs of the HTTP API and of the stream API have no slash at the end.

    A client connects to `websocket_url + "?conversationId=..."`.
    `token` is good for a month, and None where none is needed or somebody else issues them.
    """

    http_url: str
    websocket_url: str
    stream_url: str
    chat_page_url: str
    aws_endpoint_url: str
    table_name: str
    stack_name: str
    workers_ai_base_url: str
    token: str | None = None

    def write(self, file: Path) -> None:
        """Replaces the file in one step."""
        draft = file.with_suffix(".tmp")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        draft.replace(file)

    @classmethod
    def read(cls, file: Path) -> "Endpoints":
        """Raises FileNotFoundError when no stack is up."""
        return cls(**json.loads(file.read_text()))
