"""`lmx doctor --engine`: real engines, without a server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmx.cli import main

pytestmark = pytest.mark.usefixtures("home")

ConfigDir = Callable[..., Path]
STEPS = ["load", "generate", "cancel", "embed", "unload"]


def echo(**settings: Any) -> dict[str, Any]:
    return {"plugins": {"echo": {"enabled": True, **settings}}}


def doctor(folder: Path, *words: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The exit status, the findings by their step, and what was measured."""
    command = [sys.executable, "-m", "lmx", "--config-dir", str(folder), "doctor", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=os.environ)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    return done.returncode, {finding["check"]: finding for finding in told["findings"]}, told["measured"]


@pytest.mark.parametrize("engine", ["echo", "echo-process", "echo-tokens"])
def test_an_engine_that_works_is_led_through_every_step(config_dir: ConfigDir, engine: str) -> None:
    status, found, measured = doctor(config_dir(**echo(tokens_per_second=200)), "--engine", engine)

    assert status == 0, found
    assert list(found) == STEPS
    assert {finding["verdict"] for finding in found.values()} == {"ok"}
    assert (measured["engine"], measured["model"], measured["dimensions"]) == (engine, engine, 64)
    assert measured["tokens"] >= 10
    assert measured["tokens_per_s"] > 0
    assert measured["ttft_s"] > 0
    assert measured["load_s"] > 0


def test_the_model_that_ships_with_lmx_is_the_one_that_mlx_is_tried_with(config_dir: ConfigDir) -> None:
    status, found, measured = doctor(config_dir(), "--engine", "mlx")

    assert status == 0, found
    assert (measured["engine"], measured["model"]) == ("mlx", "lmx-tiny")
    assert measured["memory_bytes"] > 10_000_000
    assert measured["tokens_per_s"] > 0
    assert {"load", "generate", "cancel", "unload"} <= found.keys()


@pytest.mark.parametrize(
    ("settings", "step", "words"),
    [
        ({"fail_load": "error"}, "load", "the echo was told to fail"),
        ({"fail_load": "crash"}, "load", "the echo was told to crash"),
        ({"fail_after": 3}, "generate", "the echo was told to fail"),
        ({"reply": ""}, "generate", "the answer was empty"),
    ],
)
def test_a_step_that_fails_is_told_with_its_reason(
    config_dir: ConfigDir, settings: dict[str, Any], step: str, words: str
) -> None:
    folder = config_dir(**echo(**settings), models={"warmup_on_load": False})

    status, found, measured = doctor(folder, "--engine", "echo-process")

    assert status == 1
    assert found[step]["verdict"] == "fail"
    assert words in found[step]["seen"]
    assert ("load_s" in measured) is (step != "load")
    assert ("unload" in found) is (step != "load")


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--engine", "ecco"], "there is no engine 'ecco'; there are: "),
        (["--engine", "echo"], "plugin 'echo' is disabled: off by default; plugins.echo.enabled: true switches it on"),
        (["--engine", "mlx", "--model", "lmx-tine"], "did you mean 'lmx-tiny'?"),
        (["--engine", "remote"], "no model here is remote, which remote opens"),
    ],
)
def test_what_cannot_be_tried_is_told_with_what_could(config_dir: ConfigDir, words: list[str], seen: str) -> None:
    status, found, _ = doctor(config_dir(), *words)

    assert status == 1
    assert seen in found["load"]["seen"]


def test_a_model_without_an_engine_to_load_it_makes_no_sense(
    config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--config-dir", str(config_dir()), "doctor", "--model", "lmx-tiny"])

    assert status == 1
    assert "name the engine with --engine NAME" in capsys.readouterr().err


def test_for_people_each_step_is_a_line_with_its_numbers(config_dir: ConfigDir) -> None:
    command = ["--config-dir", str(config_dir(**echo())), "doctor", "--engine", "echo-tokens"]

    done = subprocess.run([sys.executable, "-m", "lmx", *command], capture_output=True, text=True, check=False)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in lines] == [f"{step}:" for step in STEPS]
    assert "tokens/s, the first after" in lines[1]
    assert done.stderr == ""
