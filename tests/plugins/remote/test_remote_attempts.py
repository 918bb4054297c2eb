"""Which node is asked, and when another one is."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from lmx_hookspecs import Piece
from lmx_hookspecs.errors import (
    EngineFailed,
)
from lmx_remote.engine import RemoteEngine
from remote_support import (
    HELLO,
    Reply,
    Stream,
    always,
    chat,
    collected,
    engine_at,
    fake_node,
    nodes_at,
    text,
)


async def test_another_node_is_asked_as_long_as_there_is_no_piece() -> None:
    broken, well = always(Reply({}, 500)), always(HELLO)
    async with fake_node(broken) as first, fake_node(well) as second, engine_at(first.url, second.url) as engine:
        pieces = await collected(engine, chat())
        again = await collected(engine, chat())

    assert pieces[0].text == again[0].text == "Hello"
    assert (len(first.asked), len(second.asked)) == (1, 2)


async def test_a_node_without_one_model_keeps_its_turn_for_the_others() -> None:
    def half(_path: str, body: Any) -> Any:
        return HELLO if body["model"] == "m" else Reply({}, 404)

    async with (
        fake_node(half) as first,
        fake_node(always(HELLO)) as second,
        nodes_at(first.url, second.url, models=["m", "other"]) as nodes,
    ):
        asked = []
        for model in ("other", "other", "m"):
            before = len(first.asked), len(second.asked)
            await collected(RemoteEngine(model, nodes), chat())
            asked.append((len(first.asked) - before[0], len(second.asked) - before[1]))
        node = nodes.backends["n0"]
        failing = set(node.failing)
        node.looked_at(None)

    assert asked == [(1, 1), (0, 1), (1, 0)]
    assert (failing, node.failing, node.healthy) == ({"other"}, set(), True)


async def test_what_has_begun_is_not_begun_again_elsewhere() -> None:
    broken = always(Stream([text("Hel")], ending="reset"))
    async with (
        fake_node(broken) as first,
        fake_node(always(HELLO)) as second,
        engine_at(first.url, second.url) as engine,
    ):
        with pytest.raises(EngineFailed):
            await collected(engine, chat(stream=True))

    assert second.asked == []


async def test_an_answer_that_nobody_has_seen_is_begun_again_elsewhere() -> None:
    broken = always(Stream([text("Hel")], ending="reset"))
    async with (
        fake_node(broken) as first,
        fake_node(always(HELLO)) as second,
        engine_at(first.url, second.url) as engine,
    ):
        pieces = await collected(engine, chat())

    assert "".join(piece.text for piece in pieces) == "Hello world"
    assert sum(piece.tokens for piece in pieces) == 2
    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_that_a_node_is_at_work_is_told_although_its_answer_is_held() -> None:
    hangs = always(Stream([text("Hel")], ending="hang"))
    async with (
        fake_node(hangs) as node,
        engine_at(node.url) as engine,
        aclosing(engine.generate(chat())) as pieces,  # type: ignore[type-var]
    ):
        first = await anext(pieces)

    assert first == Piece()


async def test_the_node_with_the_least_to_do_is_asked() -> None:
    slow = always(Stream([text("one")], ending="hang"))
    async with fake_node(slow) as first, fake_node(slow) as second, engine_at(first.url, second.url) as engine:
        answers = [engine.generate(chat()) for _ in range(4)]
        for answer in answers:
            await anext(answer)
        asked = (len(first.asked), len(second.asked))
        for answer in answers:
            await answer.aclose()  # type: ignore[attr-defined]

    assert asked == (2, 2)


async def test_a_node_gets_no_more_at_once_than_it_may() -> None:
    slow = always(Stream([text("one")], ending="hang"))
    async with fake_node(slow) as node, engine_at(node.url, max_concurrent=1) as engine:
        first, second = engine.generate(chat()), engine.generate(chat())
        await anext(first)
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0.05)
        before = len(node.asked)
        await first.aclose()  # type: ignore[attr-defined]
        await waiting
        await second.aclose()  # type: ignore[attr-defined]

    assert (before, len(node.asked)) == (1, 2)
