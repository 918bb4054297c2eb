from pathlib import Path

import pytest

from lmx_hub.api import without_secrets
from lmx_hub.environment import cache_directory, endpoint, is_offline, token


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HUGGINGFACE_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HF_HUB_CACHE": "", "HF_HOME": "/b"}, Path("/b/hub")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/huggingface/hub")),
        ({"HF_HUB_CACHE": "~no-such-user/x"}, Path("~no-such-user/x")),
        ({"HF_HOME": "~no-such-user"}, Path("~no-such-user/hub")),
        ({}, Path.home() / ".cache" / "huggingface" / "hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(environment: dict[str, str], folder: Path) -> None:
    assert cache_directory(environment) == folder


def test_the_hub_is_the_public_one_unless_the_environment_names_another() -> None:
    assert endpoint({"HF_ENDPOINT": ""}) == "https://huggingface.co"
    assert endpoint({"HF_ENDPOINT": "http://hub.local/"}) == "http://hub.local"


def test_the_token_comes_from_the_environment_or_from_the_file_of_a_login(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_file\n")

    assert token({"HF_TOKEN": " hf_variable ", "HF_HOME": str(tmp_path)}) == "hf_variable"
    assert token({"HF_TOKEN": "", "HF_HOME": str(tmp_path)}) == "hf_file"
    assert token({"HF_TOKEN_PATH": str(tmp_path / "token"), "HF_HOME": "/none"}) == "hf_file"
    assert token({"HF_HOME": str(tmp_path / "none")}) is None


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_no_network_is_used_when_the_environment_says_so(value: str, offline: bool) -> None:
    assert is_offline({"HF_HUB_OFFLINE": value}) is offline


def test_an_address_is_shown_without_user_and_password() -> None:
    shown = [without_secrets(url) for url in ("http://me:hush@host:9/base", "http://h/a@b")]

    assert shown == ["http://host:9/base", "http://h/a@b"]
