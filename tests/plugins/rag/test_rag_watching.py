import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from http_support import FakeContext, RecordingLog
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, NotFound, Unavailable
from lmx_rag import following
from lmx_rag.watching import Watcher, watcher_of
from rag_support import FakeRetrieval, RagServices, rag_services

pytest.importorskip("watchdog")
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "QUIET_S", 0.05)
    monkeypatch.setattr(following, "RETRY_S", 0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("a")
    (folder / "b.md").write_text("b")
    return folder


def moved(root: Path) -> Path:
    return root.rename(root.with_name("away"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  files change outside the loop, and nothing tells of it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(
    root: Path, services: RagServices | None = None, watch: Mapping[str, Any] | None = None
) -> AsyncIterator[tuple[Watcher, FakeRetrieval, RecordingLog]]:
    used = services or rag_services(watch=watch or {"c": [root]})
    context: Any = FakeContext(used)
    watcher = watcher_of(context)
    await watcher.start()
    try:
        yield watcher, used.retrieval, context.log
    finally:
        await watcher.close()


def kept(retrieval: FakeRetrieval) -> dict[str, bytes]:
    return {one: retrieval.store.contents[one] for one in retrieval.store.kept.get("c", {})}


async def test_the_files_that_are_there_are_stored_at_the_start(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)

    assert kept(retrieval) == {"notes/a.md": b"a", "notes/b.md": b"b"}
    first = retrieval.asked[0]
    assert (first.skip_unchanged, first.priority) == (True, "low")
    assert first.documents[0].metadata == {"source": "notes/a.md", "watched": str(root)}


async def test_a_collection_follows_what_is_made_changed_moved_and_deleted(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        (root / "new").mkdir()
        (root / "new" / "c.md").write_text("c")
        (root / "a.md").write_text("changed")
        await until(lambda: kept(retrieval).get("notes/new/c.md") == b"c")
        await until(lambda: kept(retrieval)["notes/a.md"] == b"changed")
        (root / "new").rename(root / "moved")
        (root / "b.md").unlink()
        await until(lambda: set(kept(retrieval)) == {"notes/a.md", "notes/moved/c.md"})


async def test_what_was_said_of_a_document_stays_when_its_file_changes(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        ours = {"source": "notes/a.md", "watched": str(root)}
        said = {"topic": "animals", "described": ["topic"]}
        await retrieval.store.update_metadata("c", "notes/a.md", {**ours, **said, "columns": ["read", "from", "it"]})
        (root / "a.md").write_text("changed")
        await until(lambda: kept(retrieval)["notes/a.md"] == b"changed")

    assert retrieval.asked[-1].documents[0].metadata == {**ours, **said}


async def test_what_was_said_of_a_document_is_known_after_a_restart(root: Path) -> None:
    services, said = rag_services(watch={"c": [root]}), {"topic": "animals", "described": ["topic"]}
    async with watching(root, services) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        ours = {"source": "notes/a.md", "watched": str(root)}
        await retrieval.store.update_metadata("c", "notes/a.md", {**ours, **said})
        asked = len(retrieval.asked)

    async with watching(root, services) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)

    assert [one.documents[0].metadata for one in retrieval.asked[asked:]] == [
        {**ours, **said},
        {"source": "notes/b.md", "watched": str(root)},
    ]


async def test_reading_a_file_is_no_change_of_it(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        (root / "a.md").read_text()
        (root / "c.md").write_text("c")
        await until(lambda: len(kept(retrieval)) == 3)
        looks = watcher.followers[0].looks
        await asyncio.sleep(0.3)

        assert watcher.followers[0].looks <= looks + 1


async def test_documents_of_files_that_are_gone_are_removed_at_the_start_and_others_are_not(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    async with watching(root, services) as (watcher, _, _):
        await until(lambda: watcher.followers[0].looks == 1)
    (root / "a.md").unlink()
    other = next(iter(services.retrieval.store.kept["c"].values()))
    services.retrieval.store.kept["c"]["notes/by hand"] = evolve(other, id="notes/by hand", metadata={})
    services.retrieval.store.contents["notes/by hand"] = b""

    async with watching(root, services) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)

    assert set(kept(retrieval)) == {"notes/b.md", "notes/by hand"}


async def test_a_file_that_cannot_be_read_is_told_once_and_the_rest_goes_on(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    services.retrieval.refused["notes/a.md"] = InvalidRequest("a.md is no PDF", code="unreadable_file")

    async with watching(root, services) as (watcher, retrieval, log):
        await until(lambda: watcher.followers[0].looks == 1)
        (root / "c.md").write_text("c")
        await until(lambda: "notes/c.md" in kept(retrieval))

        assert watcher.describe()["watched"][0]["failed"] == 1
    assert [one["document"] for one in log.named("watched_file_left_out")] == ["notes/a.md"]
    assert set(kept(retrieval)) == {"notes/b.md", "notes/c.md"}


async def test_files_of_unknown_kinds_are_left_out_in_silence(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    services.retrieval.refused["notes/a.md"] = InvalidRequest("no reader", code="unsupported_file")

    async with watching(root, services) as (watcher, _, log):
        await until(lambda: watcher.followers[0].looks == 1)

    assert log.named("watched_file_left_out") == []


async def test_a_file_that_became_empty_takes_its_document_with_it(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        retrieval.refused["notes/a.md"] = InvalidRequest("nothing in it", code="empty_content")
        (root / "a.md").write_text("")
        await until(lambda: set(kept(retrieval)) == {"notes/b.md"})


async def test_a_file_on_which_an_engine_dies_holds_no_other_up(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    services.retrieval.refused["notes/a.md"] = EngineFailed("the engine died of it")

    async with watching(root, services) as (watcher, retrieval, _):
        await until(lambda: set(kept(retrieval)) == {"notes/b.md"})
        await until(lambda: watcher.followers[0].waiting_for == "the engine died of it")
        del retrieval.refused["notes/a.md"]
        await until(lambda: set(kept(retrieval)) == {"notes/a.md", "notes/b.md"})


async def test_a_store_that_comes_back_gets_what_it_missed(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    services.retrieval.refused[""] = Unavailable("the store starts again", code="retrieval_unavailable")

    async with watching(root, services) as (watcher, retrieval, log):
        await until(lambda: watcher.followers[0].waiting_for is not None)
        await asyncio.sleep(0.2)
        assert kept(retrieval) == {}
        del retrieval.refused[""]
        await until(lambda: len(kept(retrieval)) == 2)

    assert len(log.named("watch_waits")) == 1


async def test_what_was_deleted_from_the_collection_is_stored_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.1)

    async with watching(root) as (watcher, retrieval, _):
        await until(lambda: watcher.followers[0].looks == 1)
        await retrieval.store.delete("c", ["notes/a.md"])
        await until(lambda: "notes/a.md" in kept(retrieval))


async def test_a_folder_that_is_not_there_keeps_its_documents_until_it_is(root: Path) -> None:
    async with watching(root) as (watcher, retrieval, log):
        await until(lambda: watcher.followers[0].looks == 1)
        away = moved(root)
        (away / "a.md").write_text("changed meanwhile")  # an event, so that it is looked at
        await until(lambda: watcher.followers[0].waiting_for is not None)
        assert len(kept(retrieval)) == 2
        away.rename(root)
        await until(lambda: kept(retrieval)["notes/a.md"] == b"changed meanwhile")
        (root / "d.md").write_text("d")
        await until(lambda: "notes/d.md" in kept(retrieval))

    assert log.named("watch_failed") == []


async def test_without_events_the_folder_is_polled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(following, "observe", none)
    monkeypatch.setattr(following, "POLL_S", 0.05)

    async with watching(root) as (watcher, retrieval, log):
        await until(lambda: watcher.followers[0].looks == 1)
        (root / "c.md").write_text("c")
        await until(lambda: "notes/c.md" in kept(retrieval))

        assert watcher.describe()["watched"][0]["events"] is False
    assert len(log.named("watch_without_events")) == 1


async def test_a_tree_that_changes_while_it_is_read_comes_to_rest_as_it_is(root: Path) -> None:
    async with watching(root) as (_, retrieval, log):
        for number in range(200):
            (root / f"{number}.md").write_text(str(number))
            if number % 2:
                (root / f"{number - 1}.md").unlink()
            await asyncio.sleep(0)
        wanted = {"notes/a.md", "notes/b.md", *(f"notes/{number}.md" for number in range(1, 200, 2))}
        await until(lambda: set(kept(retrieval)) == wanted)

    assert log.named("watch_failed") == []


async def test_two_folders_of_one_name_cannot_share_a_collection(root: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / "notes"
    twin.mkdir(parents=True)

    async with watching(root, watch={"c": [root, twin], "d": [twin], "bad/name": [root]}) as (watcher, _, log):
        followed = [(one.collection, one.root) for one in watcher.followers]

    assert followed == [("c", root), ("d", twin.resolve())]
    assert [one["collection"] for one in log.named("watch_refused")] == ["c", "bad/name"]


async def test_nothing_is_watched_where_retrieval_is_off(root: Path) -> None:
    services = rag_services(watch={"c": [root]}, enabled=False)

    async with watching(root, services) as (watcher, _, _):
        assert watcher.describe() == {"watched": []}


async def test_an_unknown_collection_holds_nothing(root: Path) -> None:
    services = rag_services(watch={"c": [root]})
    services.retrieval.store.broken = NotFound("gone", code="collection_not_found")

    async with watching(root, services) as (watcher, _, log):
        await until(lambda: watcher.followers[0].looks == 1)

    assert log.named("watch_failed") == []
