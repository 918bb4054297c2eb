import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmx import __version__
from lmx.cli import main
from lmx.commands import BUILT_IN
from plugin_folder import PluginFolder

COMMAND = """
    class Wave:
        def configure(self, parser):
            parser.add_argument("who")

        def run(self, args, context):
            {body}

    @hookimpl
    def lmx_commands():
        return [CommandSpec(name={name!r}, help="wave at somebody", factory=Wave)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    (tmp_path / "config.d").mkdir()
    return PluginFolder(tmp_path, monkeypatch)


def add_command(folder: PluginFolder, body: str, name: str = "wave") -> None:
    folder.add(f"plugin_{name}", COMMAND.format(name=name, body=body))


def lmx(folder: PluginFolder, *words: str) -> int:
    return main(["--config-dir", str(folder.path / "config.d"), *words])


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_command_can_be_imported_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])

    assert end.value.code == 0
    assert f"usage: lmx {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_alone_it_prints_help_with_every_command(
    folder: PluginFolder, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(folder, "return 0")

    status = lmx(folder, *words)

    text = capsys.readouterr().out
    assert status == 0
    assert all(f"  {name} " in text for name in BUILT_IN)
    assert "wave at somebody" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert end.value.code == 0
    assert capsys.readouterr().out == f"lmx {__version__}\n"


def test_an_unknown_command_is_a_usage_error_with_a_suggestion(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    status = lmx(folder, "verson")

    assert status == 2
    assert capsys.readouterr().err == "lmx: there is no command 'verson'; did you mean `lmx version`?\n"


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--nonsense"])

    assert end.value.code == 2
    assert "--nonsense" in capsys.readouterr().err


def test_a_plugin_brings_a_command(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(folder, "print('hello', args.who); return 7")

    status = lmx(folder, "wave", "Ada")

    assert status == 7
    assert capsys.readouterr().out == "hello Ada\n"


def test_a_plugin_cannot_replace_a_built_in_command(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(folder, "raise AssertionError('the plugin ran')", name="version")

    status = lmx(folder, "version")

    assert status == 0
    assert capsys.readouterr().out.startswith(f"lmx {__version__}\n")


def test_a_broken_plugin_does_not_break_the_help(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.add("broken", "raise RuntimeError('no wings')")

    status = lmx(folder, "--help")

    assert status == 0
    assert "start the server" in capsys.readouterr().out


def test_a_broken_configuration_takes_only_the_commands_of_plugins_away(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(folder, "return 0")
    (folder.path / "config.d" / "00-broken.yaml").write_text("server: {prt: 1}")

    help_status, wave_status = lmx(folder, "--help"), lmx(folder, "wave", "Ada")

    written = capsys.readouterr()
    assert (help_status, wave_status) == (0, 2)
    assert "start the server" in written.out
    assert "the configuration cannot be read; `lmx config check` says why" in written.err


def test_a_deliberate_error_is_one_line_and_status_1(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(folder, "raise LmxError('the flag is missing; hoist it')")

    status = lmx(folder, "wave", "Ada")

    assert status == 1
    assert capsys.readouterr().err == "lmx: the flag is missing; hoist it\n"


def test_a_bug_shows_its_traceback(folder: PluginFolder) -> None:
    add_command(folder, "raise ZeroDivisionError")

    with pytest.raises(ZeroDivisionError):
        lmx(folder, "wave", "Ada")


def test_an_interruption_is_status_130(folder: PluginFolder, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(folder, "raise KeyboardInterrupt")

    status = lmx(folder, "wave", "Ada")

    assert status == 130
    assert capsys.readouterr().err == ""


def test_the_config_folder_may_stand_before_or_behind_the_command(
    folder: PluginFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(folder, "print(context.config_dir, context.config('server').port); return 0")
    config_dir = folder.path / "config.d"
    (config_dir / "00-server.yaml").write_text("server: {port: 4321}")

    main(["--config-dir", str(config_dir), "wave", "Ada"])
    before = capsys.readouterr().out
    folder.monkeypatch.setenv("LMX_CONFIG_DIR", str(config_dir))  # where the command is found
    main(["wave", "Ada", "--config-dir", str(config_dir)])

    assert before == f"{config_dir} 4321\n"
    assert capsys.readouterr().out == before


def started(folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """What a shell says to a line in which `lmx` is the command."""
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("lmx", f"exec {sys.executable} -m lmx", 1)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "LMX_HOME": str(folder), "PYTHONUNBUFFERED": ""},
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_bug(tmp_path: Path, closed: str) -> None:
    ended = started(tmp_path, f"lmx plugins list {closed}")

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ("fifo" in ended.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("words", ["version", "--help", "config show --origin", "plugins list --json"])
def test_output_that_cannot_be_written_is_one_line_and_status_1(tmp_path: Path, words: str) -> None:
    ended = started(tmp_path, f"lmx {words} > /dev/full")

    assert ended.stderr == "lmx: cannot write the output: No space left on device\n"
    assert ended.returncode == 1


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx", "version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "LMX_HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    process.stdout.close()

    _, errors = process.communicate(timeout=30)

    assert errors == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "DIR", "config", "show"],
        ["config", "--config-dir", "DIR", "show"],
        ["config", "show", "--config-dir", "DIR"],
        ["config", "show", "--config-dir=DIR"],
    ],
)
def test_the_configuration_folder_may_be_named_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "10.yaml").write_text("server: {port: 4321}")

    status = main([word.replace("DIR", str(tmp_path)) for word in words])

    assert status == 0
    assert "port: 4321" in capsys.readouterr().out
