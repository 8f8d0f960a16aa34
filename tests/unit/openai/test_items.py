"""The log read as items."""

from __future__ import annotations

import pytest

from copilotedge.errors import NotFound
from copilotedge.models import PromptMessage, ToolCall
from copilotedge.openai import items as items_module
from copilotedge.openai.items import Items
from tests.fakes import World

CALLS = tuple(ToolCall(f"call-{n}", "weather", "{}") for n in range(3))


@pytest.fixture(autouse=True)
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "READ", 2)


async def filled(texts: int) -> tuple[World, Items]:
    """So many messages, and then one that calls."""
    world = World()
    said = [PromptMessage("user", f"text {n}") for n in range(texts)]
    await world.append_all("c1", [*said, PromptMessage("assistant", "Let me see.", CALLS)])
    return world, Items(world.conversations)


async def all_ids(items: Items, limit: int, *, newest_first: bool) -> list[str]:
    found: list[str] = []
    more, after = True, ""
    while more:
        page = await items.page("c1", limit, newest_first=newest_first, after=after)
        found += [item["id"] for item in page.items]
        more, after = page.more, found[-1]
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_pages_of_any_size_have_every_item_once(limit: int):
    _, items = await filled(5)
    oldest_first = await all_ids(items, limit, newest_first=False)
    assert len(oldest_first) == len(set(oldest_first)) == 5 + 4
    assert await all_ids(items, limit, newest_first=True) == oldest_first[::-1]


async def test_every_item_is_found_by_its_id():
    _, items = await filled(3)
    page = await items.page("c1", 100, newest_first=False)
    assert [await items.find("c1", item["id"]) for item in page.items] == list(page.items)


@pytest.mark.parametrize("item_id", ["", "msg_none", "fc_none-0", "none"])
async def test_what_is_not_there_is_not_found(item_id: str):
    _, items = await filled(1)
    with pytest.raises(NotFound):
        await items.find("c1", item_id)


async def test_a_conversation_that_does_not_exist_is_not_found():
    with pytest.raises(NotFound):
        await Items(World().conversations).page("c1", 10, newest_first=True)


async def test_what_was_evicted_is_gone():
    world = World(max_stored_messages=3)
    for n in range(5):
        await world.append("c1", "user", f"text {n}", 0)
    page = await Items(world.conversations).page("c1", 100, newest_first=True)
    assert [item["content"][0]["text"] for item in page.items] == ["text 4", "text 3", "text 2"]
