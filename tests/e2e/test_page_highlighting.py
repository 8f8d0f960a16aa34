"""Colours of code on the page: which words get which; and no code, however strange, is lost or makes the page wait."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.test_page_access import CONTRAST
from tests.e2e.test_page_hostile_text import RESPONSIVE, longest_pause, watch_pauses
from tests.page_backend import PageBackend, token_of

WORDS = {
    "python": (
        '@cache\ndef f(n=0x1F):\n    """Doc."""\n    return "a\\"b"  # why',
        'name:@cache keyword:def name:f number:0x1F string:"""Doc.""" keyword:return string:"a\\"b" comment:# why',
    ),
    "js": ("if (x) y(`a${b}`, 1.5e3) // no", "keyword:if name:y string:`a${b}` number:1.5e3 comment:// no"),
    "json": ('{"a": [1, true, "b"]}', 'name:"a" number:1 keyword:true string:"b"'),
    "sql": ("Select 1 From t -- x", "keyword:Select number:1 keyword:From comment:-- x"),
    "html": (
        '<a href="x">y</a><!-- -->',
        'keyword:<a name:href string:"x" keyword:> keyword:</a keyword:> comment:<!-- -->',
    ),
    "sh": ('make run --fast "$HOME" # go', 'name:--fast string:"$HOME" comment:# go'),
    "rust": ("fn f<'a>(x: &'a str) { 'x' }", "keyword:fn string:'x'"),
    "css": ("a { color: red } /* b */", "name:color comment:/* b */"),
    "yaml": ("a: true # b", "name:a keyword:true comment:# b"),
    "diff": ("+a\n-b\n c", "string:+a comment:-b"),
    "klingon": ("if 1 then 'x'", ""),
    "": ("return 1", ""),
}  # fmt: skip
CODE_BOMBS = {
    "open string": '"' * 19_999,
    "escapes": '"\\' * 10_000,
    "open comment": "/* " * 7_000,
    "half closed comments": "*/ /*" * 4_000,
    "triple quotes": '"""' * 7_000,
    "backticks": "`\\" * 10_000,
    "digits": "1" * 20_000,
    "words": "a1_" * 7_000,
    "numbers": "1 " * 10_000,
    "calls": "a(" * 10_000,
    "tags": "<a " * 7_000,
    "blanks": " " * 20_000,
    "variables": "${" * 10_000,
    "keys": '"a" ' * 5_000,
}
LANGUAGES = ("python", "js", "rust", "json", "sql", "html", "sh", "css", "yaml", "toml")


@pytest.mark.parametrize("language", WORDS)
def test_words_of_a_language_get_their_colours(chat: ChatPage, backend: PageBackend, language: str) -> None:
    code, expected = WORDS[language]
    backend.append("assistant", f"```{language}\n{code}\n```")
    expect(chat.answers.locator("code")).to_have_text(code)
    found = chat.answers.locator("code i").evaluate_all("nodes => nodes.map(n => `${n.className}:${n.textContent}`)")
    assert " ".join(found) == expected


@pytest.mark.parametrize("bomb", CODE_BOMBS)
def test_strange_code_is_shown_whole_and_at_once_in_every_language(
    chat: ChatPage, backend: PageBackend, bomb: str
) -> None:
    code = CODE_BOMBS[bomb]
    watch_pauses(chat.page)
    for language in LANGUAGES:
        backend.append("assistant", f"```{language}\n{code}\n```")
    expect(chat.messages).to_have_count(len(LANGUAGES))
    assert longest_pause(chat.page) < RESPONSIVE
    shown = chat.messages.locator("code").evaluate_all("nodes => nodes.map(node => node.textContent)")
    assert shown == [code] * len(LANGUAGES)


def test_code_takes_its_colours_while_it_streams(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Go")
    backend.wait_for_turn()
    backend.say("```py\nretu")
    expect(chat.answers.locator("code")).to_have_text("retu")
    backend.say("rn 1")
    expect(chat.answers.locator("code .keyword")).to_have_text("return")
    backend.answer("\n```")
    expect(chat.answers.locator("code .number")).to_have_text("1")


def test_colours_stop_where_code_gets_very_long(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "```py\n" + "return 1\n" * 3_000 + "```")
    expect(chat.answers.locator("code")).to_contain_text("return 1")
    assert 1_000 < chat.answers.locator("code i").count() <= 3_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_colour_can_be_read(chat: ChatPage, backend: PageBackend, scheme: Any) -> None:
    chat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    backend.append("assistant", "```py\nreturn f(1, 'a')  # why\n```")
    expect(chat.answers).to_be_visible()
    kinds = [f"code .{kind}" for kind in ("keyword", "name", "number", "string", "comment")]
    ratios = dict(chat.page.evaluate(CONTRAST, kinds))
    assert {selector: ratio for selector, ratio in ratios.items() if ratio < 4.5} == {}


def test_who_signs_in_again_finds_the_code_as_it_was(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "```py\nanswer(1)\n```")
    expect(chat.answers.locator("code")).to_have_text("answer(1)")
    backend.expire()
    expect(chat.sign_in).to_be_visible()
    backend.tokens = {token_of("alice", 2)}
    chat.paste_token(token_of("alice", 2))
    chat.wait_for_connection()
    expect(chat.answers.locator("code")).to_have_text("answer(1)")
    expect(chat.answers.locator("code")).to_be_visible()
