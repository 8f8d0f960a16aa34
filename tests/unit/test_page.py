"""The chat page: one document made of many sources, what it is told, and what it may do."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest

from copilotedge import page
from copilotedge.settings import Settings

SETTINGS = Settings(websocket_endpoint="https://w.example.com/live", model="m", page_notice="Slow.")
MODULES = sorted(page.SOURCES.glob("*.js"))
DECLARATION = re.compile(r"^(?:export )?(?:async )?(?:class|const|let|var|function)\*? (\w+|[{[].*)", re.MULTILINE)


def inline(tag: str) -> str:
    """What stands between the only such tags of the document."""
    [content] = re.findall(rf"<{tag}>(.*?)</{tag.split(maxsplit=1)[0]}>", page.document(SETTINGS).text, re.DOTALL)
    return content


def policy(settings: Settings = SETTINGS) -> dict[str, str]:
    directives = page.headers(settings)["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_the_page_is_html():
    document = page.document(SETTINGS)
    assert document.text.lower().startswith("<!doctype html>")
    assert document.content_type == "text/html; charset=utf-8"


def test_it_asks_for_no_other_file():
    assert re.findall(r'(?:src|href)="(?!data:|#)', page.document(SETTINGS).text) == []


def test_its_tag_changes_with_what_it_is_told():
    tags = {page.document(settings).etag for settings in (SETTINGS, replace(SETTINGS, model="n"), Settings())}
    assert len(tags) == 3
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', tag) for tag in tags)


def test_it_learns_where_and_with_whom_it_talks():
    assert json.loads(inline('script type="application/json" id="config"')) == {
        "websocketUrl": "wss://w.example.com/live",
        "model": "m",
        "notice": "Slow.",
        "maxMessageCharacters": 10_000,
        "conversationsEnabled": True,
        "auth": "jwt",
    }


def test_a_setting_cannot_end_its_element():
    notice = "</script><script>alert(1)</script><!--"
    text = page.document(replace(SETTINGS, page_notice=notice)).text
    assert notice not in text and "alert" in text
    assert text.count("<script") == 2


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_document():
    assert policy()["script-src"] == hash_of(inline('script type="module"'))
    assert policy()["style-src"] == hash_of(inline("style"))


def test_the_page_may_talk_to_its_own_two_apis_and_to_nobody_else():
    assert policy()["default-src"] == "'none'"
    assert policy()["connect-src"] == "'self' wss://w.example.com"
    assert not re.search(r"unsafe|\*", page.headers(SETTINGS)["content-security-policy"])


def test_without_sockets_it_talks_to_its_origin_only():
    assert policy(Settings())["connect-src"] == "'self'"


def test_it_may_not_be_framed_sniffed_or_traced():
    headers = page.headers(SETTINGS)
    assert policy()["frame-ancestors"] == policy()["form-action"] == policy()["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


def test_browsers_are_told_to_stay_with_https_where_there_is_https():
    assert page.headers(SETTINGS)["strict-transport-security"].startswith("max-age=")
    local = replace(SETTINGS, websocket_endpoint="http://127.0.0.1/live")
    assert "strict-transport-security" not in page.headers(local)


# --- the sources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_imports_from_its_siblings_only_and_by_their_names(module):
    siblings = "|".join(re.escape(other.name) for other in MODULES if other != module)
    lines = re.findall(r"^[ \t]*import\b.*$|^.*\bimport\s*\(.*$", module.read_text(), re.MULTILINE)
    assert [line for line in lines if not re.fullmatch(rf'import {{ [\w, ]+ }} from "\./({siblings})";', line)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_what_a_module_imports_is_exported_there(module):
    for names, sibling in re.findall(r'^import { (.*) } from "\./(.*)";$', module.read_text(), re.MULTILINE):
        exported = set(re.findall(r"^export (?:async )?\w+ (\w+)", (page.SOURCES / sibling).read_text(), re.MULTILINE))
        assert set(names.split(", ")) <= exported


def test_no_two_modules_declare_the_same_name():
    names = Counter(name for module in MODULES for name in DECLARATION.findall(module.read_text()))
    assert {name: count for name, count in names.items() if count > 1} == {}
    assert all(name.isidentifier() for name in names)


def test_every_module_is_in_the_script_behind_what_it_imports():
    declared = DECLARATION.findall(page.script())
    places = {module.name: declared.index(DECLARATION.findall(module.read_text())[0]) for module in MODULES}
    for module in MODULES:
        for sibling in re.findall(r'from "\./(.*)";', module.read_text()):
            assert places[sibling] < places[module.name]


def test_the_script_is_no_module_that_imports_or_exports():
    assert re.findall(r"^\s*(?:import|export)\b.*$", page.script(), re.MULTILINE) == []


def test_nothing_in_the_sources_ends_their_element():
    assert not re.search(r"</script|<script|<!--", page.script(), re.IGNORECASE)
    assert not re.search(r"</style", page.style(), re.IGNORECASE)
    assert "\r" not in page.script() + page.style()  # a parser would change it, and the hash with it
