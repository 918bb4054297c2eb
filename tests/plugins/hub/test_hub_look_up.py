import socket
import traceback
from pathlib import Path

import pytest

from fake_hub import FakeHub
from hub_support import FETCHED, MODEL, Reports, context, request
from lmx_hookspecs import DownloadRequest, RemoteModel
from lmx_hookspecs.errors import Forbidden, InvalidRequest, ModelNotFound, Unavailable
from lmx_hub.config import HubConfig
from lmx_hub.downloader import HubDownloader
from lmx_hub.job import download


def look_up(wanted: DownloadRequest | None = None, **config: bool) -> RemoteModel:
    return HubDownloader(HubConfig(**config), "hub-download").look_up(wanted or request())


def test_sizes_and_checksums_are_the_hubs(hub: FakeHub, cache: Path) -> None:
    remote = look_up()

    assert sorted(file.path for file in remote.files) == sorted(FETCHED)
    assert remote.size_bytes == sum(len(MODEL[name]) for name in FETCHED)
    assert [file.path for file in remote.files if file.sha256] == ["model.safetensors"]
    assert (remote.commit, remote.destination) == (hub.repositories["org/name"].commits[-1].sha, cache)


@pytest.mark.usefixtures("hub")
def test_what_is_here_already_is_counted(cache: Path) -> None:
    download(context(), request(allow_patterns=["*.json"]), Reports())

    remote = look_up()

    assert remote.present_bytes == len(MODEL["config.json"]) + len(MODEL["tokenizer.json"])
    assert remote.destination == cache / "models--org--name"


def test_a_look_up_downloads_nothing(hub: FakeHub, cache: Path) -> None:
    look_up()

    assert [asked.path for asked in hub.requests] == ["/api/models/org/name/revision/main"]
    assert not cache.exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b/c",
        "../x",
        "org/..",
        "org/na me",
        "/name",
        "org/",
        "org//name",
        "org\\name",
        "a--b/c",
        "x" * 97,
        "o/n.git",
    ],
)
def test_a_name_that_could_be_no_repository_is_refused_without_asking(hub: FakeHub, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is not the name of a repository") as caught:
        look_up(request(name))

    assert caught.value.param == "repo_id"
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["..", "a/../../b", "/etc", "a\nb", "a\\b"])
def test_a_revision_that_leads_elsewhere_is_refused_without_asking(hub: FakeHub, revision: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        look_up(request(revision=revision))

    assert caught.value.param == "revision"
    assert hub.requests == []


@pytest.mark.usefixtures("hub")
def test_what_the_hub_does_not_have_is_not_found() -> None:
    with pytest.raises(ModelNotFound, match="the hub has no model org/other, or it is private"):
        look_up(request("org/other"))
    with pytest.raises(ModelNotFound, match="no such revision"):
        look_up(request(revision="v9"))


@pytest.mark.parametrize("token", [None, "hf_of_somebody_else"])
def test_a_gated_repository_says_what_to_do(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    hub.gate("org/name", "hf_secret")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)

    with pytest.raises(Forbidden, match=r"accept its licence .* HF_TOKEN") as caught:
        look_up()

    assert caught.value.code == "hub_forbidden"


def test_the_token_of_the_environment_opens_a_gated_repository(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gate("org/name", "hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    assert look_up().size_bytes > 0


@pytest.mark.usefixtures("hub")
def test_a_hub_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            look_up()

    assert (caught.value.code, caught.value.retry_after_s) == ("hub_unreachable", 30.0)


@pytest.mark.parametrize("endpoint", ["not an address", "ftp://example.org", "http://[", "/nowhere"])
@pytest.mark.usefixtures("hub")
def test_an_endpoint_that_is_no_address_is_unavailable(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)

    with pytest.raises(Unavailable, match="HF_ENDPOINT"):
        look_up()


@pytest.mark.parametrize(
    "endpoint", ["http://me:hush@127.0.0.1:9", "me:hush@127.0.0.1:9", "http://me:hush/x@127.0.0.1:9", "hush://me@host"]
)
@pytest.mark.usefixtures("hub")
def test_no_part_of_a_password_is_shown(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)

    with pytest.raises(Unavailable, match="HF_ENDPOINT") as caught:
        look_up()

    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("hub")
def test_a_hub_that_names_no_sizes_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fake_hub._sibling", lambda name, _content, blobs: {"rfilename": name})  # noqa: ARG005

    with pytest.raises(Unavailable, match="does not list files, sizes and checksums"):
        look_up()


@pytest.mark.parametrize("path", ["../../evil.json", "/etc/passwd.json", "a//b.json"])
def test_a_hub_whose_files_lead_elsewhere_is_not_believed(hub: FakeHub, path: str) -> None:
    hub.put("org/name", {**MODEL, path: b"{}"})

    with pytest.raises(Unavailable, match="is not a path"):
        look_up()


def test_offline_means_offline(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE is set"):
        look_up()
    assert hub.requests == []


def test_downloads_can_be_switched_off(hub: FakeHub) -> None:
    with pytest.raises(Unavailable, match="downloads_enabled") as caught:
        look_up(downloads_enabled=False)

    assert caught.value.code == "no_downloader"
    assert hub.requests == []


def test_a_reload_can_switch_downloads_on(hub: FakeHub) -> None:
    downloader = HubDownloader(HubConfig(downloads_enabled=False, max_concurrent_downloads=1), "hub-download")

    downloader.reconfigure(HubConfig(max_concurrent_downloads=3))

    assert downloader.max_concurrent == 3
    assert downloader.look_up(request()).commit == hub.repositories["org/name"].commits[-1].sha
