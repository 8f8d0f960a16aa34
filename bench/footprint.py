"""How many bytes a turn logs: the real handlers, and what they print. ``python -m bench.footprint`` writes the file.

Lambda's own three lines about each invocation are added as its documentation shows them. The stream API logs what the
HTTP API does: one line about the request, and the same about the turn.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).with_name("footprint.json")
_REQUEST = "00000000-0000-0000-0000-000000000000"
PLATFORM = (
    f"START RequestId: {_REQUEST} Version: 12\n"
    f"END RequestId: {_REQUEST}\n"
    f"REPORT RequestId: {_REQUEST}\tDuration: 3704.12 ms\tBilled Duration: 3705 ms\tMemory Size: 1024 MB\t"
    "Max Memory Used: 120 MB\t\n"
)
"""Source: "Using CloudWatch Logs with Lambda", Lambda Developer Guide."""


def measure() -> dict[str, int]:
    """Bytes of a turn's lines by function, without Lambda's own."""
    from bench.ours import LIMITED, Bench, measured  # who only reads the file needs neither moto nor handlers

    with measured() as (meter, model), contextlib.redirect_stdout(io.StringIO()) as printed:
        logging.disable(logging.NOTSET)
        bench = Bench(meter, model, **LIMITED)

        def printed_by(act: Callable[[], object]) -> int:
            before = len(printed.getvalue())
            act()
            return len(printed.getvalue()) - before

        bench.rest("c1")
        found = {"http_api": printed_by(lambda: bench.rest("c1"))}
        bench.socket("connect", "c2")
        frame = {"type": "chat", "role": "user", "content": "Hello", "id": "m1"}
        found["websocket_api"] = printed_by(lambda: bench.socket("message", "c2", **frame))
        found["turn_worker"] = printed_by(bench.worker)
        return found


def main(file: Path) -> None:
    file.write_text(json.dumps({"log_bytes": measure()}, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
