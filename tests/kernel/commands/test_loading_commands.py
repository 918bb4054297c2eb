import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lmx.cli import main
from lmx.commands.ps import summary
from serving import Server

pytestmark = pytest.mark.usefixtures("home")
Output = pytest.CaptureFixture[str]


def test_a_model_is_loaded_pinned_shown_and_unloaded(echo_server: Server, capsys: Output) -> None:
    where = ["--url", echo_server.url]

    assert main(["load", "echo-process", "--keep-alive", "3600", *where]) == 0
    assert "echo-process is ready after" in capsys.readouterr().out
    assert main(["load", "echo-process", *where]) == 0
    assert "echo-process was loaded already" in capsys.readouterr().out
    assert main(["ps", *where]) == 0
    assert "after 1 h 0 min idle" in capsys.readouterr().out
    assert main(["pin", "echo-process", *where]) == 0
    assert "echo-process is pinned" in capsys.readouterr().out
    assert main(["ps", *where]) == 0
    header, row, total = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["ID", "STATE", "BACKEND"]
    assert row.split()[:3] == ["echo-process", "ready", "echo-process"]
    assert "pinned" in row
    assert "are free for more" in total
    assert main(["pin", "echo-process", "--off", *where]) == 0
    assert main(["unload", "echo-process", *where]) == 0
    assert "GB came back" in capsys.readouterr().out


def test_each_command_answers_in_json(echo_server: Server, capsys: Output) -> None:
    answers = {}
    for words in (["load", "echo-tokens"], ["ps"], ["pin", "echo-tokens"], ["unload", "echo-tokens"]):
        assert main([*words, "--json", "--url", echo_server.url]) == 0
        answers[words[0]] = json.loads(capsys.readouterr().out)

    assert answers["load"]["time_to_load_ms"] > 0
    assert [model["id"] for model in answers["ps"]["models"]] == ["echo-tokens"]
    assert answers["ps"]["memory"]["held_gb"] > 0
    assert answers["pin"]["pinned"] is True
    assert answers["unload"]["success"]


def test_what_is_not_loaded_can_be_neither_unloaded_nor_pinned(echo_server: Server, capsys: Output) -> None:
    for words in (["unload", "echo"], ["pin", "echo"]):
        assert main([*words, "--url", echo_server.url]) == 1
        assert "is not loaded" in capsys.readouterr().err


def test_a_setting_that_no_engine_honours_is_refused_by_name(echo_server: Server, capsys: Output) -> None:
    status = main(["load", "echo-tokens", "--set", "kv_bits=8", "--url", echo_server.url])

    assert status == 1
    assert "kv_bits" in capsys.readouterr().err


def test_a_setting_without_a_value_is_a_usage_error(echo_server: Server, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", "echo", "--set", "kv_bits", "--url", echo_server.url])

    assert ended.value.code == 2
    assert "is no KEY=VALUE" in capsys.readouterr().err


def test_status_is_printed_once_where_there_is_no_terminal(echo_server: Server, capsys: Output) -> None:
    assert main(["status", "--url", echo_server.url]) == 0
    heading, condition, *_ = capsys.readouterr().out.splitlines()
    assert main(["status", "--json", "--url", echo_server.url]) == 0
    seen = json.loads(capsys.readouterr().out)

    assert heading.startswith(echo_server.url)
    assert "models hold" in condition
    assert seen["health"]["status"] in {"ok", "degraded"}
    assert {"status", "memory", "models", "downloads"} <= seen.keys()


def test_without_a_server_they_say_how_to_start_one(config_dir: Callable[..., Path], capsys: Output) -> None:
    folder = str(config_dir())
    for words in (["ps"], ["load", "echo"], ["unload", "echo"], ["pin", "echo"], ["status"], ["events"]):
        assert main(["--config-dir", folder, *words]) == 1
        assert "`lmx serve` starts one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("available_gb", "free"), [(5.0, "2.00 GB are free"), (0.5, "0.50 GB are free"), (0.0, "0.00 GB are free")]
)
def test_free_for_more_is_what_both_the_budget_and_the_machine_have(available_gb: float, free: str) -> None:
    memory = {"budget_gb": 10.0, "held_gb": 8.0, "available_gb": available_gb}

    assert free in summary(memory)


def test_a_path_is_no_model(echo_server: Server, capsys: Output) -> None:
    for words in (["rm", "-y"], ["pin"], ["models", "info"]):
        assert main([*words, "../jobs/x", "--url", echo_server.url]) == 1
        assert "'../jobs/x' is not a model id" in capsys.readouterr().err
