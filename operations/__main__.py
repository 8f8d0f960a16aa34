"""`python -m operations COMMAND`. The Makefile calls it; docs/operations.md says what one sees."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.places import LOCAL
from operations import deployments, stacks
from operations.backups import Backups
from operations.dead_letters import DeadLetters
from operations.errors import OperationError
from operations.releases import Function, Releases
from operations.signing import SigningKeys, mint
from operations.stacks import DeployedStack

Command = Callable[[DeployedStack, argparse.Namespace], None]


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
    made = {name: added(commands, name, command) for name, command in COMMANDS.items()}
    made["token"].add_argument("--user", required=True)
    made["token"].add_argument("--hours", type=float, default=12.0, help="how long the token is good (default: 12)")
    made["restore"].add_argument(
        "--source", required=True, help="a backup's ARN, a time such as 2026-11-22T20:00Z, or latest"
    )
    made["recover"].add_argument("--table", required=True, help="that `restore` has made")
    whose = made["recover"].add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", help="who owns the conversations")
    whose.add_argument("--everybody", action="store_true", help="after the loss of a whole table")
    made["redrive"].add_argument("--forget", action="store_true", help="deletions of users too")
    made["rollback"].add_argument(
        "--to", default="", help="the release (default: the one before, if all have the same)"
    )
    made["destroy"].add_argument("--confirm", default="", help="the stack and its region, as copilotedge/eu-west-1")
    return whole


def added(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command
) -> argparse.ArgumentParser:
    """The parser of one more command."""
    made = commands.add_parser(name, help=command.__doc__)
    made.add_argument("--stack", help="on AWS (default: the local stack if it is up, else copilotedge)")
    made.set_defaults(command=command)
    return made


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
    print("Tokens of the last key stay good until they expire. Rotating once more ends them, within six minutes.")


def set_api_token(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """put CLOUDFLARE_API_TOKEN in the place of the stack's API token"""
    if not (api_token := os.environ.get("CLOUDFLARE_API_TOKEN", "")):
        raise OperationError(
            "CLOUDFLARE_API_TOKEN is not set. The token is read from there, not from the command line."
        )
    secret = stack.physical_id("ApiTokenSecret")
    stack.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=api_token)
    print(f"The stack {stack.name} {stack.place} has a new API token.")
    print("Functions that still know the last one read the new one when Cloudflare refuses theirs: revoke it now.")


def dead_letters(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """list the events that failed for good, without what is in them"""
    letters = DeadLetters(stack).listed()
    for letter in letters:
        print(letter)
    print(f"{len(letters)} dead letters in the stack {stack.name} {stack.place}.")


def redrive(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """send dead letters again to where they came from"""
    replays = []
    for replay in DeadLetters(stack).replay(forget=chosen.forget):
        print(f"{replay.letter}: {replay.outcome}")
        replays.append(replay)
    left = sum(not replay.done for replay in replays)
    print(f"{len(replays) - left} dead letters are gone from the stack {stack.name} {stack.place}, {left} are left.")
    if left:
        raise OperationError("What is left says why above.")


def releases(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """list the versions of every function, and which is live"""
    for function in Releases(stack).functions():
        print(function.name)
        for version in function.versions[-8:]:
            traffic = share(function, version.number)
            print(f"  {version.number:>5}  {version.published}  {version.release}  {traffic}".rstrip())


def share(function: Function, number: str) -> str:
    """How much of the traffic a version has, in words."""
    if number in function.weights:
        return f"{function.weights[number]:.0%}"
    if number != function.live:
        return ""
    return f"{1 - sum(function.weights.values()):.0%}" if function.weights else "live"


def rollback(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """make the release before the live one live, in every function"""
    for function, version in Releases(stack).roll_back(chosen.to):
        live = function.version(function.live)
        print(f"{function.name}: {live.number} ({live.release}) -> {version.number} ({version.release})")
    print(f"The stack {stack.name} {stack.place} is back. Its table, its APIs and its roles are as they were deployed.")


def backup(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """back up the table; the backup's ARN is on the last line"""
    print(f"Backing up the table of the stack {stack.name} {stack.place} ...", file=sys.stderr)
    print(Backups(stack).back_up())


def restore(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """restore the table into a new one, whose name is on the last line"""
    print(f"Restoring {chosen.source} beside the table of the stack {stack.name} {stack.place} ...", file=sys.stderr)
    print(Backups(stack).restore(chosen.source))


def recover(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """copy conversations that the stack no longer has from a restored table"""
    tally = Backups(stack).copy_missing(chosen.table, chosen.user)
    print(f"{tally.conversations} conversations came back ({tally.items} items).")
    print(f"{tally.kept} are still there and were left as they are; {tally.expired} had ended.")


def deploy(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """deploy what is built to AWS, as a new release"""
    name = on_aws(chosen)
    place = stack.whereabouts()
    print(f"Deploying {name}: {place}.", flush=True)
    release = deployments.deploy(name, place.region, os.environ)
    print(f"{name} is at the release {release}.")


def destroy(stack: DeployedStack, chosen: argparse.Namespace) -> None:
    """delete a stack on AWS with all its conversations"""
    name = on_aws(chosen)
    place = stack.whereabouts()
    print(f"Destroying {name}: {place}.", flush=True)
    stack.check_exists()
    deployments.destroy(name, place.region, chosen.confirm)
    print(f"{name} is gone. {deployments.LEFT_BEHIND}")


def on_aws(chosen: argparse.Namespace) -> str:
    """The name of the stack that must be one on AWS. Raises OperationError when none is named."""
    if not chosen.stack:
        raise OperationError("Which stack on AWS? STACK=copilotedge, for one.")
    name: str = chosen.stack
    return name


COMMANDS: dict[str, Command] = {
    "token": token,
    "rotate-keys": rotate_keys,
    "set-api-token": set_api_token,
    "dead-letters": dead_letters,
    "redrive": redrive,
    "releases": releases,
    "rollback": rollback,
    "backup": backup,
    "restore": restore,
    "recover": recover,
    "deploy": deploy,
    "destroy": destroy,
}


if __name__ == "__main__":
    sys.exit(main())
