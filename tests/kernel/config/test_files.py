"""Reading: folders, YAML, environment, flags; what wins, and what is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lmx.config import Flag, find_directory, passed_over, read
from lmx.config.merge import origins, plain
from lmx_hookspecs.errors import ConfigError

Write = Callable[[str, str], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        file = folder / name
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


def merged(folder: Path | None, environment: Mapping[str, str] | None = None, flags: Any = None) -> Any:
    return plain(read(folder, environment or {}, flags).root)


def complaint(folder: Path | None, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, environment or {})
    return caught.value.message


def test_later_files_win_mappings_merge_and_lists_are_replaced(folder: Path, write: Write) -> None:
    write("10-b.yaml", "server: {port: 2}\nmodels: {auto_load: [b], settings: {x: {mode: single}}}")
    write("00-a.yaml", "server: {port: 1, host: a}\nmodels: {auto_load: [a, c], settings: {x: {backend: mlx}}}")

    data = merged(folder)

    assert data["server"] == {"port": 2, "host": "a"}
    assert data["models"] == {"auto_load": ["b"], "settings": {"x": {"mode": "single", "backend": "mlx"}}}


def test_only_yaml_files_directly_in_the_folder_count(folder: Path, write: Write) -> None:
    write("a.yml", "server: {port: 1}")
    write("b.yaml.bak", "server: {port: 2}")
    write("README.md", "# not configuration")
    write("._a.yaml", "\x00 a resource fork")
    (folder / "presets").mkdir()
    write("presets/c.yaml", "name: c")

    data = merged(folder)

    assert data == {"server": {"port": 1}}


def test_a_section_without_keys_changes_nothing(folder: Path, write: Write) -> None:
    write("00.yaml", "server: {port: 1}")
    write("10.yaml", "server:\n  # port: 2\nplugins:\n")
    write("20.yaml", "")
    write("30.yaml", "# only a comment\n")

    data = merged(folder)

    assert data == {"server": {"port": 1}, "plugins": None}


def test_the_environment_beats_files_and_flags_beat_the_environment(folder: Path, write: Write) -> None:
    write("00.yaml", "server: {port: 1, host: file, timeout_sec: 7}")
    environment = {"LMX_SERVER__PORT": "2", "LMX_SERVER__HOST": "variable", "LMX_HOME": "/x", "OTHER__KEY": "1"}

    raw = read(folder, environment, {"server.port": Flag("--port", 3), "models.auto_load": ["m"]})

    assert plain(raw.root) == {
        "server": {"port": 3, "host": "variable", "timeout_sec": 7},
        "models": {"auto_load": ["m"]},
    }
    written = origins(raw.root)
    assert written[("server", "port")] == "--port"
    assert written[("models", "auto_load")] == "command line"
    assert written[("server", "host")] == "LMX_SERVER__HOST"
    assert written[("server", "timeout_sec")] == f"{folder}/00.yaml:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("true", True),
        ("off", "off"),
        ("null", None),
        ("", None),
        ("plain text: with # signs", "plain text: with # signs"),
        ("#secret", "#secret"),
        ("*star", "*star"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("<<", "<<"),
        ('"12"', "12"),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("{a: [1, 2]}", {"a": [1, 2]}),
    ],
)
def test_a_variable_is_a_yaml_scalar_or_a_flow_collection(folder: Path, text: str, value: object) -> None:
    data = merged(folder, {"LMX_ROUTING__ALIASES": text})

    assert data == {"routing": {"aliases": value}}


def test_more_underscores_reach_deeper(folder: Path) -> None:
    data = merged(folder, {"LMX_PLUGINS__ECHO__ENABLED": "false", "LMX_PLUGINS__FIFO__MAX_QUEUE": "3"})

    assert data == {"plugins": {"echo": {"enabled": False}, "fifo": {"max_queue": 3}}}


def test_a_bad_variable_is_named(folder: Path) -> None:
    message = complaint(folder, {"LMX_SERVER__": "1", "LMX_SERVER__PORT": "[1", "LMX_SERVER__HOST": "{a: 1, a: 2}"})

    assert message.splitlines()[0] == "LMX_SERVER__: names no key; write LMX_SECTION__KEY"
    assert message.splitlines()[1].startswith("LMX_SERVER__HOST: duplicate key 'a'")
    assert message.splitlines()[2].startswith("LMX_SERVER__PORT: while parsing a flow sequence")


def test_every_value_remembers_its_line(folder: Path, write: Write) -> None:
    file = write("00.yaml", "# top\nserver:\n  port: 1\n\nmodels:\n  auto_load:\n    - a\n    - b\n")

    written = origins(read(folder, {}).root)

    assert written[("server", "port")] == f"{file}:3"
    assert written[("models", "auto_load")] == f"{file}:6"
    assert written[("models", "auto_load", 1)] == f"{file}:8"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("server:\n  port: 1\n  port: 2\n", 3, "duplicate key 'port', first on line 2"),
        ("server: {}\nserver: {}\n", 2, "duplicate key 'server', first on line 1"),
        ("server:\n\tport: 1\n", 2, "a tab cannot stand here: indent with spaces"),
        ("- a\n- b\n", 1, "must hold sections such as `server:`, each with its keys"),
        ("just text\n", 1, "must hold sections such as `server:`, each with its keys"),
        ("server: [1, 2\nmodels: 3\n", 2, "while parsing a flow sequence expected ',' or ']', but got ':'"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins here: keep one per file"),
        ("models:\n  settings: {7: {mode: single}}\n", 2, 'a key must be text: write "7" in quotes'),
        ("models:\n  ? [a]\n  : 1\n", 2, "a key must be text"),
        ("a: &a\n  b: *a\n", 1, "an alias stands inside what it refers to"),
        ("a: !python/object 1\n", 1, "the tag !python/object has no meaning here"),
        ("a: 1\nb: !mine {c: 1}\n", 2, "the tag !mine has no meaning here"),
        ("a: 1\nb: !!int x\n", 2, "cannot be read as tag:yaml.org,2002:int: x"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", 3, "YAML 1.2 has no merge key: write the keys out"),
        ("a: " + "[" * 5000, 1, "is nested too deeply"),
        ("a: *nobody\n", 1, "found undefined alias 'nobody'"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(folder: Path, write: Write, text: str, line: int, message: str) -> None:
    file = write("00.yaml", text)

    assert complaint(folder) == f"{file}:{line}: {message}"


def test_problems_of_all_files_are_reported_together(folder: Path, write: Write) -> None:
    write("00.yaml", "a: [")
    write("10.yaml", "b: 1\nb: 2\nb: 3")
    (folder / "20.yaml").write_bytes(b"a: 1\nb: \xff\n")
    (folder / "30.yaml").mkdir()

    lines = complaint(folder, {"LMX_A__B": "{"}).splitlines()

    assert [line.removeprefix(f"{folder}/").split(": ")[0] for line in lines] == [
        "00.yaml:1",
        "10.yaml:2",
        "10.yaml:3",
        "20.yaml:2",
        "30.yaml",
        "LMX_A__B",
    ]
    assert lines[3].endswith("is not UTF-8; save the file as UTF-8")
    assert lines[4].endswith("cannot be read: Is a directory")


def test_a_control_character_is_refused(folder: Path, write: Write) -> None:
    file = write("00.yaml", "server:\n  host: \x07\n")

    assert complaint(folder).startswith(f"{file}:")


def test_a_byte_order_mark_is_skipped(folder: Path) -> None:
    (folder / "00.yaml").write_bytes(b"\xef\xbb\xbfserver: {port: 1}")

    assert merged(folder) == {"server": {"port": 1}}


def test_the_folder_that_was_asked_for_is_used_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config.d", "flag", "variable"):
        (tmp_path / name).mkdir()
    environment = {"LMX_CONFIG_DIR": str(tmp_path / "variable")}

    found = [
        find_directory(tmp_path / "flag", environment),
        find_directory(None, environment),
        find_directory(None, {"LMX_CONFIG_DIR": ""}),
    ]

    assert found == [tmp_path / "flag", tmp_path / "variable", Path("config.d")]


def test_without_any_folder_the_defaults_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    raw = read(None, {})

    assert raw.directory in (None, Path("/etc/lmx/config.d"))
    assert raw.directory is not None or plain(raw.root) == {}


def test_the_home_folder_comes_after_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".config" / "lmx" / "config.d"
    home.mkdir(parents=True)

    assert find_directory(None, {}) == home


def test_a_home_that_nobody_has_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="there is no folder ~nobody-of-that-name"):
        find_directory(Path("~nobody-of-that-name"), {})


@pytest.mark.parametrize("origin", ["--config-dir", "LMX_CONFIG_DIR"])
def test_a_missing_folder_that_was_asked_for_is_an_error(tmp_path: Path, origin: str) -> None:
    missing = tmp_path / "nowhere"

    with pytest.raises(ConfigError, match=f"{origin}: there is no folder {missing}"):
        read(*((missing, {}) if origin == "--config-dir" else (None, {"LMX_CONFIG_DIR": str(missing)})))


def test_plugins_are_disabled_by_a_switch_or_by_default(folder: Path, write: Write) -> None:
    write("00.yaml", "plugins:\n  a: {enabled: false}\n  b: {enabled: true}\n  c: {x: 1}\n  d:\n")

    raw = read(folder, {})

    assert raw.disabled_plugins() == {"a"}
    assert raw.disabled_plugins({"b", "c", "e"}) == {"a", "c", "e"}


def test_a_switch_that_is_no_switch_disables_nothing_yet(folder: Path, write: Write) -> None:
    write("00.yaml", "plugins: [a]\n")

    assert read(folder, {}).disabled_plugins({"e"}) == {"e"}
    assert read(folder, {"LMX_PLUGINS": "[a]", "LMX_PLUGINS__A__ENABLED": "no"}).disabled_plugins() == frozenset()


def test_a_variable_with_one_underscore_too_few_is_pointed_out() -> None:
    environment = {"LMX_SERVER_PORT": "1", "LMX_SERVER__HOST": "x", "LMX_HOME": "/x", "PATH": "/bin", "LMX_FOO": "1"}

    assert passed_over(environment) == [
        "the variable LMX_FOO is not read",
        "the variable LMX_SERVER_PORT is not read; did you mean LMX_SERVER__PORT?",
    ]
