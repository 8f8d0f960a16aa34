"""`python -m operations token | rotate-keys`. The Makefile calls it."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.places import LOCAL
from operations import stacks
from operations.errors import OperationError
from operations.signing import SigningKeys, mint
from operations.stacks import DeployedStack


def main(
    arguments: Sequence[str] | None = None, find: Callable[[str | None, Path], DeployedStack] = stacks.find
) -> int:
    """Exit status 0 when the command did what it should."""
    chosen = parser().parse_args(arguments)
    try:
        chosen.command(find(chosen.stack, chosen.directory), chosen)
    except (OperationError, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Of all commands."""
    whole = argparse.ArgumentParser(prog="python -m operations", description="Operate a CopilotEdge stack.")
    whole.add_argument("--directory", type=Path, default=LOCAL, help="of the local stack (default: .local)")
    commands = whole.add_subparsers(required=True)
    tokens = commands.add_parser("token", help=token.__doc__)
    tokens.add_argument("--user", required=True)
    tokens.add_argument("--hours", type=float, default=12.0, help="how long the token is good (default: 12)")
    keys = commands.add_parser("rotate-keys", help=rotate_keys.__doc__)
    for command, run in ((tokens, token), (keys, rotate_keys)):
        command.add_argument("--stack", help="on AWS (default: the local stack if it is up, else copilotedge)")
        command.set_defaults(command=run)
    return whole


def token(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """print a token, on the last line"""
    settings = stack.token_settings()
    key = SigningKeys(stack.client("secretsmanager"), settings.secret_arn).current()
    lifetime = timedelta(hours=chosen.hours)
    made = mint(key, chosen.user, settings.issuer, settings.audience, lifetime.total_seconds())
    end = datetime.now(UTC) + lifetime
    print(f"Token of {chosen.user} for the stack {stack.name} {stack.place}, good until {end:%Y-%m-%d %H:%M} UTC:")
    print(made)


def rotate_keys(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """make a new signing key; tokens of the one before stay good"""
    settings = stack.token_settings()
    SigningKeys(stack.client("secretsmanager"), settings.secret_arn).rotate()
    print(f"The stack {stack.name} {stack.place} has a new signing key.")
    print("Tokens of the last key stay good until they expire. Rotating once more ends them, within ten minutes.")


if __name__ == "__main__":
    sys.exit(main())
