"""`python -m local up | down | run | logs`. The Makefile calls it; `options` says what it reads of the environment."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.endpoints import Endpoints
from local.errors import LocalStackError
from local.options import from_environment
from local.places import LOCAL
from local.stack import PREFERRED_PORTS, Stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when the command did what it should."""
    parser = argparse.ArgumentParser(prog="python -m local", description="CopilotEdge on this machine.")
    parser.add_argument("--directory", type=Path, default=LOCAL, help="keeps all state (default: .local)")
    commands = parser.add_subparsers(required=True)
    for command in (up, down, run, logs):
        commands.add_parser(command.__name__, help=command.__doc__).set_defaults(command=command)
    chosen = parser.parse_args(arguments)
    try:
        chosen.command(stack_in(chosen.directory.absolute()), stop_request())
    except LocalStackError as error:
        say(f"\n{error}")
        return 1
    except Stopped:
        say("\nInterrupted. `make down` ends what was started.")
        return 130
    return 0


def stack_in(directory: Path) -> Stack:
    """The stack with its state there. Only the checkout's own one has a claim to the usual ports."""
    return Stack(directory, preferred_ports=PREFERRED_PORTS if directory == LOCAL else {}, say=say)


def up(stack: Stack, stopped: threading.Event) -> None:
    """start everything in the background"""
    say(greeting(stack.up(from_environment(os.environ))))
    say("`make down` ends it, `make logs` follows the functions' logs.")


def down(stack: Stack, stopped: threading.Event) -> None:
    """end everything; conversations stay"""
    stack.down()


def run(stack: Stack, stopped: threading.Event) -> None:
    """start everything, follow the logs, end everything on Ctrl-C"""
    try:
        endpoints = stack.up(from_environment(os.environ))
        say(greeting(endpoints))
        say("Ctrl-C ends it. The functions' logs:")
        follow(stack, stopped)
    except Stopped:
        pass
    finally:
        say("\nEnding the local stack ...")
        stack.down()


def logs(stack: Stack, stopped: threading.Event) -> None:
    """follow the functions' logs until Ctrl-C"""
    with contextlib.suppress(Stopped):
        follow(stack, stopped)


def follow(stack: Stack, stopped: threading.Event) -> None:
    """Says what the functions log. Raises LocalStackError when MiniStack is not, or no longer, there."""
    if not stack.ministack.running():
        raise LocalStackError("No stack is up: `make run` or `make up` starts one.")
    try:
        stack.logs().follow(say, stopped.wait)
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(
            f"MiniStack does not answer any more: {stack.directory}/ministack.log says why."
        ) from error


def greeting(endpoints: Endpoints) -> str:
    """Where everything is and how it is called; where a token is needed, a shell that knows TOKEN puts it in."""
    body = '{"conversationId": "hello", "messages": [{"role": "user", "content": "Hello!"}]}'
    page, rest = endpoints.chat_page_url, f"curl {endpoints.http_url}/api/copilotedge"
    socket = f"{endpoints.websocket_url}?conversationId=hello"
    lines = [f"Model      {endpoints.workers_ai_base_url}"]
    if endpoints.token:
        page += f"#token={endpoints.token}"
        rest += ' -H "authorization: Bearer $TOKEN"'
        socket += "&token=$TOKEN"
        lines += [f"Token      TOKEN={endpoints.token}"]
    lines += [
        f"REST       {rest} -H 'content-type: application/json' -d '{body}'",
        f"WebSocket  {socket}",
        f"OpenAI     {endpoints.stream_url}/v1",
        f"Chat page  {page}",
    ]
    return "\n" + "".join(f"  {line}\n" for line in lines)


class Stopped(BaseException):
    """The developer asked us to end. Not an Exception: nothing on the way may take it for a failure."""


def stop_request() -> threading.Event:
    """Set by the first Ctrl-C, SIGTERM or hang-up, which also interrupts what is going on; later ones are ignored.

    Installed whatever the shell set up: in a script's background job Python would ignore Ctrl-C.
    """
    stopped = threading.Event()

    def stop(number: int, frame: object) -> None:
        if not stopped.is_set():
            stopped.set()
            raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return stopped


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
