import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from environments import make_environment
from lmx.plugins import PluginEntry
from lmx.plugins.environments import environment_of
from lmx.plugins.installing import Source, install, own_source, requirements, source_at, source_of
from lmx_hookspecs.errors import PluginError

ECHO = PluginEntry(name="echo", module="lmx_echo", distribution="opta-lmx")
MLX = PluginEntry(name="mlx", module="lmx_mlx", distribution="opta-lmx")


class Installed(metadata.Distribution):
    """A distribution as pip leaves it."""

    def __init__(self, direct_url: dict[str, Any] | None) -> None:
        self.direct_url = direct_url

    def read_text(self, filename: str) -> str | None:
        if filename == "METADATA":
            return "Name: lmx-mine\nVersion: 1.2\n"
        return None if self.direct_url is None else json.dumps(self.direct_url)

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError(path)


def arguments(monkeypatch: pytest.MonkeyPatch, direct_url: dict[str, Any] | None, extra: str = "") -> list[str]:
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(direct_url))
    return source_of("lmx-mine").arguments("lmx-mine", extra)


def test_what_came_from_an_index_comes_from_there_in_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arguments(monkeypatch, None, "mlx") == ["lmx-mine[mlx]==1.2"]


def test_a_checkout_that_is_edited_is_edited_there_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}

    assert arguments(monkeypatch, told, "mlx") == ["--editable", f"{tmp_path}[mlx]"]
    assert arguments(monkeypatch, told) == ["--editable", str(tmp_path)]


def test_a_wheel_a_folder_and_a_repository_are_named_by_their_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = {"url": tmp_path.as_uri(), "dir_info": {}}
    remote = {"url": "https://example.org/lmx_mine-1.2-py3-none-any.whl", "archive_info": {}}
    repository = {"url": "https://example.org/mine.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}

    assert arguments(monkeypatch, folder) == [f"lmx-mine @ {tmp_path.as_uri()}"]
    assert arguments(monkeypatch, remote) == [f"lmx-mine @ {remote['url']}"]
    assert arguments(monkeypatch, repository) == ["lmx-mine @ git+https://example.org/mine.git@abc"]


def test_a_source_that_is_gone_has_to_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="say where it is with --from PATH"):
        arguments(monkeypatch, {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}})
    with pytest.raises(PluginError, match="--from takes a checkout"):
        source_at(tmp_path / "gone")


def test_a_plugin_with_an_extra_of_its_name_gets_it() -> None:
    assert requirements(MLX, Source("", "9.9")) == ["opta-lmx[mlx]==9.9"]
    assert requirements(ECHO, Source("", "9.9")) == ["opta-lmx==9.9"]


def test_a_plugin_of_another_distribution_comes_with_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(None))
    mine = PluginEntry(name="mine", module="lmx_mine", distribution="lmx-mine")

    assert requirements(mine, Source("", "9.9")) == ["opta-lmx==9.9", "lmx-mine==1.2"]


def test_this_installation_knows_where_it_came_from() -> None:
    assert own_source().arguments("opta-lmx", "")


def test_an_environment_that_works_outlives_an_installation_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    make_environment(environment_of("echo"), bare=True)
    (environment_of("echo") / "marker").touch()
    broken = tmp_path / "lmx_broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no wheel")

    with pytest.raises(PluginError, match="pip could not install it; its last lines say why"):
        install(ECHO, source_at(broken))

    assert (environment_of("echo") / "marker").exists()
    assert [path.name for path in environment_of("echo").parent.iterdir()] == ["echo"]
    assert capfd.readouterr().out == ""


def test_what_an_installation_that_was_killed_left_aside_is_the_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path))
    environment = environment_of("echo")
    (environment.parent / ".echo.before").mkdir(parents=True)
    (environment.parent / ".echo.before" / "marker").touch()
    environment.mkdir()

    with pytest.raises(PluginError, match="making the environment failed"):
        install(ECHO, Source("", "9.9"), tmp_path / "no-python")

    assert (environment / "marker").exists()
