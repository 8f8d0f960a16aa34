"""The chat page's files, what they are told, and what they may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from copilotedge import page
from copilotedge.settings import Settings

SETTINGS = Settings(websocket_endpoint="https://w.example.com/live", model="m", page_notice="Slow.")


def test_the_page_is_html():
    file = page.file("index.html")
    assert file.text.lower().startswith("<!doctype html>")
    assert file.content_type == "text/html; charset=utf-8"


def test_each_text_has_a_tag_of_its_own():
    tags = [page.file(name).etag for name in ("index.html", "app.js", "view.js")]
    assert len(set(tags)) == 3
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', tag) for tag in tags)


def test_every_file_of_the_page_is_served_with_its_type():
    names = [path.name for path in (Path(page.__file__).parent.parent / "web").iterdir()]
    assert {"index.html"} < set(names)
    assert all(page.file(name) is not None for name in names)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "nothing.js", "../http_api.py", "../copilotedge/x.js", "/etc/passwd", "a\0.js", "index", "%2e"],
)
def test_nothing_else_is_served(name):
    assert page.file(name) is None


def test_a_name_that_is_too_long_is_unknown_too():
    assert page.file("x" * 300 + ".js") is None


def test_the_page_learns_where_and_with_whom_it_talks():
    assert page.config(SETTINGS) == {
        "websocketUrl": "wss://w.example.com/live",
        "model": "m",
        "notice": "Slow.",
        "maxMessageCharacters": 10_000,
        "conversationsEnabled": True,
    }


def test_the_page_may_talk_to_its_own_two_apis_and_run_its_own_scripts():
    policy = page.headers(SETTINGS)["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "connect-src 'self' wss://w.example.com;" in policy
    assert "unsafe" not in policy and "*" not in policy


def test_without_sockets_the_page_talks_to_its_origin_only():
    assert "connect-src 'self';" in page.headers(Settings())["content-security-policy"]
