"""The JavaScript client: its own tests, its types, and its package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from copilotedge import page
from tests.node import NODE, NPM, environment, packages_of

HERE = Path(__file__).parent
CLIENT = HERE.parents[2] / "client"
USAGE = """
import { connect, CopilotEdgeError, type Answer, type Message } from "./copilotedge.js";

const chat = connect({ url: "wss://edge.test/live", conversationId: "c", token: async (vain: number) => `${vain}` });
const answer: Answer = chat.send("Hi", { id: "m-1", signal: AbortSignal.timeout(1000) });
for await (const delta of answer) delta.toUpperCase();
const message: Message = await answer;
chat.on("delta", ({ text, attempt }) => text.repeat(attempt));
chat.on("error", (error: CopilotEdgeError) => error.retryAfter?.toFixed());
const { messages } = await chat.history({ before: message.seq });
messages.map(({ content }) => content.length);
// @ts-expect-error: there is no such event
chat.on("nothing", () => {});
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's directory, with what it is built with."""
    directory = tmp_path_factory.mktemp("package")
    for file in CLIENT.iterdir():
        if file.is_file() and file.suffix != ".ts":
            shutil.copy(file, directory)
    (directory / "node_modules").symlink_to(packages_of(CLIENT) / "node_modules")
    return directory


def run(directory: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_its_own_tests_pass(file: Path):
    run(HERE, NODE, "--test", file)


def test_the_page_s_module_is_the_package_s():
    assert (page.SOURCES / "copilotedge.js").resolve() == CLIENT / "copilotedge.js"


def test_the_package_holds_the_module_its_types_and_how_to_use_it(package: Path):
    [packed] = json.loads(run(package, NPM, "pack", "--dry-run", "--json", "--loglevel=error"))
    names = {file["path"] for file in packed["files"]}
    assert names == {"README.md", "copilotedge.d.ts", "copilotedge.js", "package.json"}


def test_its_types_are_those_that_users_expect(package: Path):
    compiler = package / "node_modules" / "typescript" / "bin" / "tsc"
    run(package, NODE, compiler)
    (package / "usage.ts").write_text(USAGE)
    options = ("--strict", "--noEmit", "--module", "esnext", "--target", "es2023", "--moduleResolution", "bundler")
    run(package, NODE, compiler, *options, "usage.ts")
