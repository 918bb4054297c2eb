"""Validation of the merged configuration against the schemas of kernel and plugins."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import frozen

from lmx.config import Config, Flag, read, resolve
from lmx_hookspecs import ConfigSpec, option
from lmx_hookspecs.errors import ConfigError, NotFound

Resolve = Callable[..., Config]


@frozen(kw_only=True)
class EchoKeys:
    delay_s: float = option(0.0, ge=0)
    token: str | None = option(None, secret=True)


@frozen(kw_only=True)
class ArchiveKeys:
    chunk_size: int = option(512, ge=64, le=2048)


SPECS: Mapping[str, Sequence[ConfigSpec]] = {
    "echo": [ConfigSpec(cls=EchoKeys)],
    "archive": [ConfigSpec(cls=ArchiveKeys, section="archive")],
    "tiny": [],
}
INSTALLED = frozenset({*SPECS, "broken"})


@pytest.fixture
def configure(tmp_path: Path) -> Resolve:
    def resolve_text(text: str, environment: Mapping[str, str] | None = None, **rest: object) -> Config:
        (tmp_path / "00.yaml").write_text(text, encoding="utf-8")
        flags = rest.get("flags")
        assert flags is None or isinstance(flags, dict)
        return resolve(read(tmp_path, environment or {}, flags), SPECS, INSTALLED, {"tiny"})

    return resolve_text


def problems(configure: Resolve, text: str, environment: Mapping[str, str] | None = None, **rest: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configure(text, environment, **rest)
    return [re.sub(r"[^\s(]*/00\.yaml", "00.yaml", line) for line in caught.value.message.splitlines()]


def test_sections_of_kernel_and_plugins_become_instances(configure: Resolve) -> None:
    config = configure("server: {port: 0}\nplugins: {echo: {delay_s: 2}}\narchive: {chunk_size: 64}")

    assert config.section("server").port == 0
    assert config.section("logging").level == "INFO"
    assert config.section("archive") == config.plugin("archive") == ArchiveKeys(chunk_size=64)
    assert config.section("plugins.echo") == config.plugin("echo") == EchoKeys(delay_s=2.0)
    assert config.plugin("tiny") is None
    assert config.plugin("broken") is None


def test_a_section_that_nobody_declares_is_not_found(configure: Resolve) -> None:
    with pytest.raises(NotFound, match="no configuration section 'sever', did you mean 'server'"):
        configure("").section("sever")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server:\n  port: 70000", "00.yaml:2: server.port: must be between 0 and 65535"),
        ("server:\n  prot: 1", "00.yaml:2: server.prot: unknown key, did you mean 'port'?"),
        ("servr: {}", "00.yaml:1: servr: unknown section, did you mean 'server'?"),
        ("server: [1]", "00.yaml:1: server: must be a mapping, got a list"),
        (
            "server: {workers: 4}",
            "00.yaml:1: server.workers: must be 1: one kernel owns the machine; scale with nodes",
        ),
        ("logging: {level: TRACE}", "00.yaml:1: logging.level: must be one of: DEBUG, INFO, WARNING, ERROR"),
        ("logging: {format: json}", "00.yaml:1: logging.format: must be one of: auto, structured, text"),
        ("models: {inference_timeout_sec: 5}", "00.yaml:1: models.inference_timeout_sec: must be between 10 and 3600"),
        ("models:\n  auto_load:\n    - a\n    - 7", "00.yaml:4: models.auto_load[1]: must be a string, got an integer"),
        ("models: {settings: {a/b: {mode: x}}}", "00.yaml:1: models.settings.a/b.mode: must be one of: batch, single"),
        ("models: {metal_cache_limit_gb: .inf}", "00.yaml:1: models.metal_cache_limit_gb: must be a finite number"),
        ("security: {api_keys: ['']}", "00.yaml:1: security.api_keys: must not hold an empty key"),
        ("plugins: {echo: {delay_s: -1}}", "00.yaml:1: plugins.echo.delay_s: must be at least 0"),
        ("plugins: {tiny: {x: 1}}", "00.yaml:1: plugins.tiny.x: unknown key"),
        ("plugins: {echo: {enabled: no}}", "00.yaml:1: plugins.echo.enabled: must be true or false"),
        ("plugins: {ech: {}}", "00.yaml:1: plugins.ech: no such plugin is installed, did you mean 'echo'?"),
        (
            "plugins: {zzz: {enabled: true}}",
            "00.yaml:1: plugins.zzz: no such plugin is installed; install it, or set enabled: false",
        ),
        ("plugins: [echo]", "00.yaml:1: plugins: must hold one mapping for each plugin"),
        ("plugins: {broken: 3}", "00.yaml:1: plugins.broken: must be a mapping"),
        ("stack_presets:\n  a:\n    rols: {}", "00.yaml:3: stack_presets.a.rols: unknown key, did you mean 'roles'?"),
        ("stack_presets: {a: [m]}", "00.yaml:1: stack_presets.a: must be a mapping, got a list"),
        ("stack_presets: [a]", "00.yaml:1: stack_presets: must be a mapping, got a list"),
        ("archive: {chunk_size: 1}", "00.yaml:1: archive.chunk_size: must be between 64 and 2048"),
        ("echo: {delay_s: 1}", "00.yaml:1: echo: unknown section; the keys of a plugin stand under plugins.echo"),
    ],
)
def test_a_problem_is_told_with_its_line(configure: Resolve, text: str, problem: str) -> None:
    (line,) = problems(configure, text)

    assert line.removesuffix("; write it in quotes") == problem


def test_all_problems_are_told_at_once_each_with_its_origin(configure: Resolve) -> None:
    lines = problems(
        configure,
        "server: {port: x}\nplugins:\n  echo: {delay: 1}\nnope: 1",
        {"LMX_LOGGING__BACKUP_COUNT": "99", "LMX_SECURITY__ADMIN_KEY": "123"},
        flags={"server.host": Flag("--host", "")},
    )

    assert lines == [
        "--host: server.host: must not be empty",
        "00.yaml:1: server.port: must be an integer, got a string",
        "LMX_LOGGING__BACKUP_COUNT: logging.backup_count: must be between 0 and 20",
        "LMX_SECURITY__ADMIN_KEY: security.admin_key: must be a string, got an integer; write it in quotes",
        "00.yaml:3: plugins.echo.delay: unknown key, did you mean 'delay_s'?",
        "00.yaml:4: nope: unknown section",
    ]


def test_a_problem_never_repeats_the_value_of_a_secret(configure: Resolve) -> None:
    lines = problems(configure, "security: {admin_key: 8675309, api_keys: [8675309]}")

    assert "8675309" not in "".join(lines)


def test_the_section_of_a_disabled_or_failed_plugin_is_left_alone(configure: Resolve) -> None:
    config = configure(
        "plugins:\n  broken: {whatever: 1}\n  gone: {enabled: false, whatever: 1}\n  also_gone:\nbroken: {x: 1}"
    )

    assert config.enabled == {"broken": True, "echo": True, "archive": True, "tiny": False}


def test_both_spellings_of_the_default_model_are_one_key(configure: Resolve) -> None:
    by_models = configure("models: {default_model: a}")
    by_routing = configure("routing: {default_model: a}\nmodels: {default_model: a, jit_load: false}")

    assert by_models.section("routing").default_model == "a"
    assert by_models.origins()["routing.default_model"].endswith("00.yaml:1")
    assert by_routing.section("models").default_model == "a"


def test_two_default_models_contradict_each_other(configure: Resolve) -> None:
    (line,) = problems(configure, "models: {default_model: a}\nrouting: {default_model: b}")

    assert (
        line == "00.yaml:2: routing.default_model: contradicts models.default_model (00.yaml:1), which is the same key"
    )


def test_secrets_are_masked_and_origins_are_known(configure: Resolve) -> None:
    config = configure(
        "security: {api_keys: [one, two], admin_key: three}\nplugins: {echo: {token: four}}",
        {"LMX_ROUTING__ALIASES": "{code: [m]}"},
        flags={"server.port": Flag("--port", 5)},
    )

    plain, origins = config.plain(), config.origins()

    assert plain["security"] == {"api_keys": ["********", "********"], "admin_key": "********"}
    assert plain["plugins"]["echo"] == {"enabled": True, "delay_s": 0.0, "token": "********"}
    assert plain["plugins"]["tiny"] == {"enabled": False}
    assert plain["routing"]["aliases"] == {"code": ["m"]}
    assert origins["server.port"] == "--port"
    assert origins["routing.aliases.code"] == "LMX_ROUTING__ALIASES"
    assert origins["security.admin_key"].endswith("00.yaml:1")
    assert origins["plugins.echo.delay_s"] == "default"


def test_a_section_of_chosen_names_holds_instances_with_origins(configure: Resolve) -> None:
    config = configure("stack_presets:\n  big:\n    roles: {code: a}", {"LMX_STACK_PRESETS__SMALL__DESCRIPTION": "one"})

    plain, origins = config.plain()["stack_presets"], config.origins()

    assert config.section("stack_presets")["big"].roles == {"code": "a"}
    assert plain == {"big": {"description": "", "roles": {"code": "a"}}, "small": {"description": "one", "roles": {}}}
    assert origins["stack_presets.big.roles.code"].endswith("00.yaml:3")
    assert origins["stack_presets.big.description"] == "default"
    assert origins["stack_presets.small.description"] == "LMX_STACK_PRESETS__SMALL__DESCRIPTION"


@pytest.mark.parametrize("text", ["", "stack_presets:", "stack_presets: {}"])
def test_a_section_of_chosen_names_may_be_empty(configure: Resolve, text: str) -> None:
    config = configure(text)

    assert config.section("stack_presets") == config.plain()["stack_presets"] == {}
    assert (config.origins()["stack_presets"] == "default") is (text != "stack_presets: {}")


def test_a_plugin_cannot_take_a_section_of_the_kernel(tmp_path: Path) -> None:
    specs = {"greedy": [ConfigSpec(cls=ArchiveKeys, section="server")]}

    with pytest.raises(ConfigError, match="server: plugin 'greedy' declares this section, which is taken"):
        resolve(read(tmp_path, {}), specs, {"greedy"})


def test_a_model_may_have_settings_of_its_own_and_keys_of_plugins(configure: Resolve) -> None:
    config = configure("models: {settings: {a/b: {mode: single, echo: {delay_s: 2}, broken: {any: 1}}}}")

    assert config.section("models").settings == {
        "a/b": {"mode": "single", "echo": {"delay_s": 2}, "broken": {"any": 1}}
    }


def test_what_is_wrong_in_the_settings_of_a_model_is_told(configure: Resolve) -> None:
    entries = ["a: {mod: single, echo: {delay: 1}}", "b: {archive: 1}", "c: 3", "d: {echo: {token: t}}"]

    lines = problems(configure, "\n    ".join(["models:\n  settings:", *entries]))

    assert lines == [
        "00.yaml:5: models.settings.c: must be a mapping, got an integer",
        "00.yaml:3: models.settings.a.mod: unknown key, did you mean 'mode'?",
        "00.yaml:3: models.settings.a.echo.delay: unknown key, did you mean 'delay_s'?",
        "00.yaml:4: models.settings.b.archive: must be a mapping, got an integer",
        "00.yaml:6: models.settings.d.echo.token: a secret stands under plugins.echo only",
    ]
