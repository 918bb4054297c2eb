import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmx.cli import main
from plugin_folder import PluginFolder, backend

HEAVY = {"asyncio", "quart", "hypercorn", "rich", "mlx", "mlx_lm", "numpy", "transformers", "httpx", "structlog"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    (tmp_path / "config.d").mkdir()
    return PluginFolder(tmp_path, monkeypatch)


def lmx(folder: PluginFolder, *words: str) -> int:
    return main(["--config-dir", str(folder.path / "config.d"), *words])


def configure(folder: PluginFolder, text: str) -> None:
    (folder.path / "config.d" / "20-plugins.yaml").write_text(text)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_the_list_shows_every_plugin_with_its_status(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("ant", backend("march"))
    folder.add("broken", "raise ValueError('no wings')")
    folder.add("shy", off=True)

    status = lmx(folder, "plugins", "list", "--json")

    listed = rows(capsys)
    assert status == 0
    assert (listed["ant"]["status"], listed["ant"]["hooks"]) == ("active", ["lmx_backends"])
    assert listed["broken"]["status"] == "failed"
    assert "no wings" in listed["broken"]["reason"]
    assert listed["shy"]["status"] == "disabled"


def test_the_list_for_people_is_a_table(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("ant", backend("march"))

    lmx(folder, "plugins", "list")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "DISTRIBUTION", "HOOKS", "REASON"]
    assert ["ant", "active", "dist-ant", "1.0", "backends"] in [line.split() for line in lines]


def test_plugins_are_switched_in_the_configuration(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("ant", "raise SystemExit('imported')")
    folder.add("shy", off=True)
    configure(folder, "plugins: {ant: {enabled: false}, shy: {enabled: true}}")

    lmx(folder, "plugins", "list", "--json")

    listed = rows(capsys)
    assert (listed["ant"]["status"], listed["ant"]["reason"]) == ("disabled", "switched off in the configuration")
    assert listed["shy"]["status"] == "active"


def test_a_broken_configuration_does_not_hide_the_plugins(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add("ant")
    configure(folder, "plugins: {ant: [")

    status = lmx(folder, "plugins", "list")

    out, err = capsys.readouterr()
    assert status == 0
    assert "ant" in out
    assert "20-plugins.yaml" in err


def test_info_tells_keys_and_what_is_offered(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add(
        "ant",
        """
        from attrs import frozen

        @frozen
        class Keys:
            legs: int = option(6, "How many it walks on.", ge=0, le=6)

        @hookimpl
        def lmx_config():
            return [ConfigSpec(cls=Keys)]

        @hookimpl
        def lmx_backends():
            return [
                BackendSpec(
                    name="march",
                    level="text",
                    formats=frozenset(),
                    capabilities=frozenset({"chat", "stop"}),
                    load=None,
                )
            ]
        """,
    )

    status = lmx(folder, "plugins", "info", "ant")

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[0] == "ant: active"
    assert "lmx_backends: march" in lines
    assert "capabilities of march: chat, stop" in lines
    assert re.split(r" {2,}", lines[-1]) == ["plugins.ant.legs", "int", "6", "≥ 0, ≤ 6", "How many it walks on."]


def test_info_as_json_holds_the_same(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("ant", backend("march"))

    lmx(folder, "plugins", "info", "ant", "--json")

    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["offers"]) == ("ant", {"lmx_backends": ["march"]})


def test_info_on_an_unknown_name_suggests_a_close_one(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("elephant")

    status = lmx(folder, "plugins", "info", "elefant")

    assert status == 1
    assert capsys.readouterr().err == "lmx: no plugin 'elefant' is installed; did you mean elephant?\n"


def test_doctor_says_what_to_do_and_fails_when_a_plugin_has(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add("broken", "raise ValueError('no wings')")
    folder.add("engine", "@hookimpl\ndef lmx_requires(): return [Requires(modules=['no_such'], extra='mlx')]")

    status = lmx(folder, "plugins", "doctor")

    out = capsys.readouterr().out
    assert status == 1
    assert "no wings" in out
    assert "engine (dist-engine 1.0) is idle: cannot find no_such\n    pip install 'opta-lmx[mlx]'\n" in out


def test_doctor_is_content_with_idle_and_disabled_plugins(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("engine", "@hookimpl\ndef lmx_requires(): return [Requires(modules=['no_such'], extra='mlx')]")
    folder.add("shy", off=True)
    monkeypatch.setattr("lmx.commands.plugins.installed", lambda: folder.entries)

    status = lmx(folder, "plugins", "doctor", "--json")

    assert status == 0
    assert list(rows(capsys)) == ["engine"]


def test_new_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["plugins", "new", "parrot", "--directory", str(tmp_path)])

    assert status == 0
    assert f"pip install -e '{tmp_path}/lmx-parrot[dev]'" in capsys.readouterr().out


def test_a_subcommand_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plugins"])

    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_listing_imports_no_engine_and_no_framework(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lmx", "plugins", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "lmx" in imported
    assert imported & HEAVY == set()
