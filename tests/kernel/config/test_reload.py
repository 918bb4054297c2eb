"""What a reload changes, what it leaves for a restart, and what it refuses."""

import json
import re
from pathlib import Path

import attrs
import pytest

from lmx.config import SECTIONS, Config, Flag
from lmx_hookspecs import ReloadReport, options_of
from lmx_hookspecs.errors import ConfigError
from reload_support import Inner, QueueKeys, Start


def test_nothing_written_differently_changes_nothing(start: Start) -> None:
    running = start("routing: {aliases: {code: [a]}}")
    before = running.config

    planned = running.rewrite("# moved down\n\nrouting: {aliases: {code: [a]}}").plan()

    assert planned.report == ReloadReport(changed=[], needs_restart=[])
    assert planned.sections == []
    assert planned.config.plain() == before.plain()


def test_live_keys_change_and_the_others_wait_as_they_are(start: Start) -> None:
    running = start("server: {port: 1}\nlogging: {level: INFO}")

    report = running.rewrite(
        "server: {port: 2, allowed_origins: [http://x]}\nlogging: {level: DEBUG, format: text}\n"
        "memory: {ttl_seconds: 60}"
    ).reload()

    assert report.changed == ["logging.level", "memory.ttl_seconds", "server.allowed_origins"]
    assert report.needs_restart == ["logging.format", "server.port"]
    server, logging = running.config.section("server"), running.config.section("logging")
    assert (server.port, server.allowed_origins, logging.level, logging.format) == (1, ("http://x",), "DEBUG", "auto")


def test_a_key_that_waits_is_told_at_every_reload_until_it_is_taken_back(start: Start) -> None:
    running = start("server: {port: 1}").rewrite("server: {port: 2}")

    reports = [running.reload(), running.reload(), running.rewrite("server: {port: 1}").reload()]

    assert [report.needs_restart for report in reports] == [["server.port"], ["server.port"], []]


def test_a_key_that_is_no_longer_written_has_its_default_again(start: Start) -> None:
    running = start("models: {jit_load: false}\nserver: {port: 1}")

    report = running.rewrite("").reload()

    assert report == ReloadReport(changed=["models.jit_load"], needs_restart=["server.port"])
    assert running.config.section("models").jit_load is True
    assert running.config.section("server").port == 1


def test_origins_tell_of_what_is_in_force(start: Start) -> None:
    running = start("server: {port: 1}\nmodels: {auto_load: [a]}")
    running.rewrite("\n\nlogging: {level: DEBUG, format: text}\nserver: {port: 2}").reload()

    origins = running.config.origins()

    assert origins["logging.level"].endswith("00.yaml:3")
    assert origins["logging.format"] == "default"
    assert origins["server.port"].endswith("00.yaml:1")
    assert origins["models.auto_load"].endswith("00.yaml:2")


def test_flags_and_the_environment_of_the_start_still_win(start: Start) -> None:
    flags = {"logging.level": Flag("--log-level", "ERROR")}
    running = start("", flags=flags, environment={"LMX_MEMORY__TTL_SECONDS": "100"})

    report = running.rewrite("logging: {level: DEBUG}\nmemory: {ttl_seconds: 60, max_memory_percent: 50}").reload()

    assert report == ReloadReport(changed=["memory.max_memory_percent"], needs_restart=[])
    assert running.config.section("logging").level == "ERROR"
    assert running.config.section("memory").ttl_seconds == 100


def test_every_problem_is_told_and_nothing_changes(start: Start) -> None:
    running = start("logging: {level: INFO}")

    with pytest.raises(ConfigError) as refusal:
        running.rewrite("logging: {level: LOUD}\nserver: {prot: 1}").reload()

    assert [line.partition("00.yaml:")[2] for line in refusal.value.message.splitlines()] == [
        "2: server.prot: unknown key, did you mean 'port'?",
        "1: logging.level: must be one of: DEBUG, INFO, WARNING, ERROR",
    ]
    assert running.config.section("logging").level == "INFO"


def test_a_folder_that_is_gone_is_an_error_and_not_the_defaults(start: Start) -> None:
    running = start("security: {admin_key: hush}")
    (running.folder / "00.yaml").unlink()
    running.folder.rmdir()

    with pytest.raises(ConfigError, match=r"configuration folder .* is gone; put it back"):
        running.reload()


def test_secrets_are_compared_and_never_told(start: Start) -> None:
    running = start("security: {admin_key: first, api_keys: [one]}")

    planned = running.rewrite("security: {admin_key: second, api_keys: [two]}\nplugins: {queue: {token: t}}").plan()

    assert planned.report.changed == ["plugins.queue.token", "security.admin_key", "security.api_keys"]
    assert planned.config.section("security").admin_key == "second"
    assert all(word not in json.dumps(planned.event()) for word in ("first", "second", "one", "two"))


def test_what_a_start_would_refuse_a_reload_refuses(start: Start) -> None:
    def with_a_key(config: Config) -> None:
        if config.section("server").host != "127.0.0.1" and not config.section("security").admin_key:
            raise ConfigError("no key")

    running = start("server: {host: 0.0.0.0}\nsecurity: {admin_key: k}", with_a_key)

    with pytest.raises(ConfigError, match="no key"):
        running.rewrite("server: {host: 0.0.0.0}").reload()
    with pytest.raises(ConfigError, match=r"no key \(some keys stay as they are until a restart\)"):
        running.rewrite("server: {host: 127.0.0.1}").reload()

    assert running.config.section("security").admin_key == "k"


def test_entries_with_chosen_names_change_as_a_whole(start: Start) -> None:
    running = start("stack_presets: {a: {roles: {x: m}}, b: {roles: {x: m}}, same: {}}")

    report = running.rewrite("stack_presets: {a: {roles: {x: n}}, c: {}, same: {}}").reload()

    assert [*report.changed, *report.needs_restart] == ["stack_presets.a", "stack_presets.b", "stack_presets.c"]


def test_keys_of_plugins_follow_their_options_also_inside_one_another(start: Start) -> None:
    running = start("plugins: {queue: {length: 1, inner: {live: 1, fixed: 1}}}\narchive: {top_k: 1}")

    planned = running.rewrite(
        "plugins: {queue: {length: 2, most: 20, inner: {live: 2, fixed: 2}}}\narchive: {top_k: 2}"
    ).plan()

    assert planned.report.changed == ["archive.top_k", "plugins.queue.inner.live", "plugins.queue.length"]
    assert planned.report.needs_restart == ["plugins.queue.inner.fixed", "plugins.queue.most"]
    assert planned.sections == ["archive", "plugins.queue"]
    assert planned.config.plugin("queue") == QueueKeys(length=2, inner=Inner(live=2))


def test_live_keys_of_a_plugin_that_nobody_takes_over_wait(start: Start) -> None:
    running = start()
    running.parts = frozenset()

    report = running.rewrite("plugins: {queue: {length: 2}}").reload()

    assert report == ReloadReport(changed=[], needs_restart=["plugins.queue.length"])


def test_live_keys_that_do_not_fit_those_that_wait_are_refused(start: Start) -> None:
    running = start("plugins: {queue: {length: 10, most: 10}}")

    with pytest.raises(ConfigError, match="does not fit what waits for a restart: must not be above most"):
        running.rewrite("plugins: {queue: {length: 15, most: 20}}").reload()


def test_switching_plugins_and_keys_of_sleeping_ones_wait_for_a_restart(start: Start) -> None:
    running = start("plugins: {off: {a: 1, b: 1}}")

    report = running.rewrite(
        "plugins: {off: {enabled: true, b: 2, c: 3}, queue: {enabled: false}}\n'off': {top: 1}"
    ).reload()

    assert report.changed == []
    assert report.needs_restart == [
        "off.top",
        "plugins.off.a",
        "plugins.off.b",
        "plugins.off.c",
        "plugins.off.enabled",
        "plugins.queue.enabled",
    ]
    assert running.config.enabled == {"off": False, "queue": True, "archive": True}
    assert running.reload() == report


def test_both_spellings_of_the_default_model_change_together(start: Start) -> None:
    running = start("models: {default_model: a}")

    report = running.rewrite("routing: {default_model: b}").reload()

    assert report.changed == ["models.default_model", "routing.default_model"]
    assert running.config.section("models").default_model == "b"


def test_the_event_tells_what_dashboards_know(start: Start) -> None:
    planned = start().rewrite("routing: {aliases: {code: [a]}}\nserver: {port: 9}").plan()

    assert planned.event() == {
        "changed": ["routing.aliases"],
        "needs_restart": ["server.port"],
        "routing_aliases": {"code": ["a"]},
        "memory_threshold": 90,
        "log_level": "INFO",
    }


def test_the_page_for_operators_lists_the_keys_that_change() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| section | keys that change at a reload |")
    rows = [re.findall(r"`([\w.]+)`", line) for line in table.partition("\n\n")[0].splitlines()]
    listed = {names[0]: set(names[1:]) for names in rows if names and not names[0].startswith("plugins.")}

    live = {
        name: {key for key, facts in options_of(cls).items() if not facts.restart}
        for name, cls in SECTIONS.items()
        if attrs.has(cls)
    }

    assert listed == {**{name: keys for name, keys in live.items() if keys}, "stack_presets": set()}
