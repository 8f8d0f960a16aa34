"""The page of `copilotkit_page/`, built with npm's packages and served from loopback, and what a person does on it."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.node import NODE, environment, packages_of

SOURCE = Path(__file__).parent / "copilotkit_page"
BUNDLE = (
    "page.jsx", "--bundle", "--jsx=automatic", "--minify", "--log-level=error", "--outfile=built/page.js",
    '--define:process.env.NODE_ENV="production"', "--loader:.woff=dataurl", "--loader:.woff2=dataurl",
    "--loader:.ttf=dataurl",
)  # fmt: skip

QUIET = """() => {
  const fetched = performance.getEntriesByType("resource").filter((entry) => entry.initiatorType === "fetch");
  return fetched.length > 1 && performance.now() - Math.max(...fetched.map((entry) => entry.responseEnd)) > 1500;
}"""
"""The runtime's description and the thread have been fetched, and nothing since."""


def build() -> Path:
    """Bundles the page; returns the directory to serve."""
    place = packages_of(SOURCE)
    shutil.copy(SOURCE / "page.jsx", place)
    command = [NODE, "node_modules/esbuild/bin/esbuild", *BUNDLE]
    subprocess.run(command, cwd=place, env=environment(), check=True, timeout=300)
    shutil.copy(SOURCE / "index.html", place / "built")
    return place / "built"


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """The URL of a server of these files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=directory))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class CopilotPage:
    """One open page, and everything that it fetched or complained of."""

    def __init__(self, context: BrowserContext, url: str, stream_url: str, token: str, thread_id: str) -> None:
        self.page: Page = context.new_page()
        self.fetched: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda line: self.troubles.append(line.text) if line.type == "error" else None)
        self._url, self._runtime_url, self._token = url, f"{stream_url}/api/copilotedge", token
        self.thread_id = thread_id
        self.field = self.page.get_by_role("textbox")
        self.messages = self.page.locator(".copilotKitMessages .copilotKitMessage")
        self.send_button = self.page.get_by_role("button", name="Send")
        self.stop_button = self.page.get_by_role("button", name="Stop")
        self.main: Locator = self.page.get_by_role("main", name="Page")

    def open(self, **query: str) -> None:
        asked = urlencode({"runtimeUrl": self._runtime_url, "threadId": self.thread_id} | query)
        self.page.goto(f"{self._url}?{asked}#{self._token}")
        self.wait_until_connected()

    def reload(self) -> None:
        self.page.reload()
        expect(self.field).to_be_visible(timeout=60_000)

    def wait_until_connected(self) -> None:
        """CopilotKit reads the thread several times over, and forgets what is said meanwhile."""
        expect(self.field).to_be_visible(timeout=60_000)
        self.page.wait_for_function(QUIET, timeout=60_000)

    def send(self, text: str) -> None:
        self.field.fill(text)
        self.send_button.click()
        expect(self.field).to_have_value("")

    def expect_messages(self, *texts: str) -> None:
        expect(self.messages).to_have_text(list(texts), timeout=30_000)

    def expect_idle(self) -> None:
        expect(self.stop_button).to_be_hidden(timeout=30_000)

    @property
    def strange_fetches(self) -> list[str]:
        """What went elsewhere than to this machine."""
        return [url for url in self.fetched if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
