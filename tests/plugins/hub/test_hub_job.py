from pathlib import Path

import pytest

import lmx_hub.job
import lmx_hub.transfer
from fake_hub import FakeHub, etag
from hub_support import FETCHED, MODEL, WEIGHTS, Reports, context, request, snapshot_files
from lmx_hookspecs import DownloadRequest
from lmx_hookspecs.errors import Conflict, Forbidden, InsufficientStorage, Unavailable
from lmx_hub.cache import CachedRepository
from lmx_hub.job import download
from lmx_hub.source import HubSource


def fetch(reports: Reports | None = None, wanted: DownloadRequest | None = None) -> Path:
    result = download(context(), wanted or request(), reports or Reports())
    return Path(result["path"])


def listed(cache: Path) -> list[str]:
    return [model.id for model in HubSource(context(), cache).models()]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmx_hub.transfer, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(lmx_hub.job, "LOCK_INTERVAL_S", 0.001)


def test_a_download_is_a_model_of_the_cache_without_code_and_pickles(hub: FakeHub, cache: Path) -> None:
    path = fetch()

    assert snapshot_files(path) == {name: MODEL[name] for name in FETCHED}
    assert path == cache / "models--org--name" / "snapshots" / hub.repositories["org/name"].commits[-1].sha
    assert listed(cache) == ["org/name"]


@pytest.mark.usefixtures("hub")
def test_what_a_broad_pattern_includes_and_may_hold_code_is_left_out_with_a_note() -> None:
    ctx = context()

    result = download(ctx, request(allow_patterns=["*"]), Reports())

    assert snapshot_files(Path(result["path"])).keys() == {*FETCHED, "README.md"}
    (left_out,) = [facts["files"] for _level, event, facts in ctx.log.lines if event == "files_left_out"]
    assert sorted(left_out) == ["modeling.py", "pytorch_model.bin"]


def test_progress_is_counted_in_bytes(hub: FakeHub) -> None:
    total = sum(len(MODEL[name]) for name in FETCHED)
    hub.hold_after("model.safetensors", 600_000)
    reports = Reports(then=lambda facts: hub.release() if facts["downloaded_bytes"] >= 600_000 else None)

    fetch(reports)

    middle = [facts for facts in reports.facts if 600_000 <= facts["downloaded_bytes"] < total]
    assert middle
    assert reports.facts[-1] == {
        "fraction": 1.0,
        "downloaded_bytes": total,
        "total_bytes": total,
        "files_completed": 3,
        "files_total": 3,
    }


def test_a_broken_connection_goes_on_where_it_broke(hub: FakeHub) -> None:
    hub.drop_after("model.safetensors", 300_000, 300_000, 300_000)
    reports = Reports()

    path = fetch(reports)

    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [0, 300_000, 600_000, 900_000]
    assert reports.facts[-1]["downloaded_bytes"] == reports.facts[-1]["total_bytes"]


def test_a_hub_that_cannot_begin_in_the_middle_begins_anew(hub: FakeHub) -> None:
    hub.ranges = False
    hub.drop_after("model.safetensors", 300_000)
    reports = Reports()

    path = fetch(reports)

    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [0, 300_000]
    assert reports.facts[-1]["downloaded_bytes"] == reports.facts[-1]["total_bytes"]


def test_a_hub_that_is_unwell_is_asked_again(hub: FakeHub) -> None:
    hub.refuse(503, times=3)

    assert snapshot_files(fetch()).keys() == set(FETCHED)


def test_a_hub_that_stays_unwell_is_given_up_and_nothing_is_listed(hub: FakeHub, cache: Path) -> None:
    hub.refuse(500, times=1000)

    with pytest.raises(Unavailable, match="it answered 500"):
        fetch()
    assert listed(cache) == []


def test_what_came_before_is_not_fetched_again(hub: FakeHub, cache: Path) -> None:
    hub.drop_after("model.safetensors", 500_000, *[0] * lmx_hub.transfer.FAILURES)
    with pytest.raises(Unavailable, match="cannot be reached"):
        fetch()
    assert listed(cache) == []
    hub.drop_after("model.safetensors")
    hub.requests.clear()
    reports = Reports()

    path = fetch(reports)

    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [500_000]
    assert hub.asked_for("config.json") == []
    there_before = 500_000 + sum(len(MODEL[name]) for name in FETCHED) - len(WEIGHTS)
    assert reports.facts[0]["downloaded_bytes"] >= there_before


def test_damage_on_the_way_is_noticed_and_fetched_again(hub: FakeHub) -> None:
    hub.corrupt("model.safetensors")
    hub.corrupt("config.json")
    reports = Reports()

    path = fetch(reports)

    assert snapshot_files(path) == {name: MODEL[name] for name in FETCHED}
    assert reports.facts[-1]["downloaded_bytes"] == reports.facts[-1]["total_bytes"]


def test_a_file_that_stays_damaged_is_no_model(hub: FakeHub, cache: Path) -> None:
    hub.corrupt("model.safetensors", times=2)

    with pytest.raises(Unavailable, match=r"model\.safetensors of org/name came twice with a checksum other than"):
        fetch()
    assert listed(cache) == []
    assert not list((cache / "models--org--name" / "blobs").glob("*.incomplete"))


@pytest.mark.usefixtures("hub")
def test_a_partial_file_that_is_not_the_hubs_is_replaced(cache: Path) -> None:
    fetch()
    (blob,) = [
        path for path in (cache / "models--org--name" / "blobs").iterdir() if path.stat().st_size == len(WEIGHTS)
    ]
    blob.rename(blob.with_name(f"{blob.name}.lmx.incomplete")).write_bytes(b"rubbish")

    path = fetch()

    assert (path / "model.safetensors").read_bytes() == WEIGHTS


def test_a_second_commit_brings_only_what_changed(hub: FakeHub, cache: Path) -> None:
    old = fetch()
    hub.put("org/name", {**MODEL, "config.json": b'{"model_type": "qwen3"}'})
    hub.requests.clear()

    new = fetch()

    assert old != new
    assert (new / "config.json").read_bytes() == b'{"model_type": "qwen3"}'
    assert hub.asked_for("model.safetensors") == []
    assert listed(cache) == ["org/name"]


def test_a_commit_can_be_asked_for_by_its_id(hub: FakeHub, cache: Path) -> None:
    old = hub.repositories["org/name"].commits[0].sha
    hub.put("org/name", {**MODEL, "config.json": b"{}"})

    path = fetch(wanted=request(revision=old))

    assert path.name == old
    assert not (cache / "models--org--name" / "refs").exists()
    assert listed(cache) == ["org/name"]


def test_files_with_the_same_contents_are_fetched_once(hub: FakeHub) -> None:
    hub.put("org/twins", {"config.json": b"{}", "a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS, "empty.json": b""})
    reports = Reports()

    path = fetch(reports, request("org/twins"))

    assert snapshot_files(path).keys() == {"config.json", "a.safetensors", "b.safetensors", "empty.json"}
    assert len(hub.asked_for("a.safetensors")) + len(hub.asked_for("b.safetensors")) == 1
    assert reports.facts[-1]["total_bytes"] == len(WEIGHTS) + 2


def test_a_gated_repository_needs_a_token(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gate("org/name", "hf_secret")

    with pytest.raises(Forbidden, match="accept its licence"):
        fetch()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    assert snapshot_files(fetch()).keys() == set(FETCHED)
    assert [asked.authorization for asked in hub.asked_for("config.json")] == ["Bearer hf_secret"]
    assert [asked.authorization for asked in hub.asked_for("model.safetensors")] == [None]  # it is another host


def test_two_processes_do_not_write_the_same_repository(hub: FakeHub, cache: Path) -> None:
    with CachedRepository(cache, "org/name").locked(lambda: False), pytest.raises(Conflict, match="another process"):
        fetch()
    assert hub.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the disk that is always full")
@pytest.mark.usefixtures("hub")
def test_a_full_disk_ends_the_download_and_says_so(cache: Path) -> None:
    blobs = cache / "models--org--name" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag('model.safetensors', WEIGHTS)}.lmx.incomplete").symlink_to("/dev/full")

    with pytest.raises(InsufficientStorage, match="the disk is full while org/name"):
        fetch()
    assert listed(cache) == []
