import inspect
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from lmx.plugins import Status, discover
from lmx_hookspecs import FIELD_CAPABILITIES, Capability, specs
from lmx_hookspecs.implementations import HOOKS
from plugin_folder import PluginFolder

README = (Path(__file__).parents[2] / "hookspecs" / "README.md").read_text("utf-8")
ENTRY = re.compile(
    r"^### `(?P<hook>\w+)`\n\n"
    r"```python\n(?P<signature>.+)\n```\n\n"
    r"(?P<text>[^`#][\s\S]+?)\n\n"
    r"```python\n(?P<example>[\s\S]+?)\n```\n",
    re.MULTILINE,
)
ENTRIES: Mapping[str, re.Match[str]] = {entry["hook"]: entry for entry in ENTRY.finditer(README)}
DESCRIBED = re.findall(r"^### `(\w+)`$", README, re.MULTILINE)


def signature(hook: str) -> str:
    """As `specs.py` has it: `def lmx_jobs() -> Sequence[JobSpec]`."""
    source = inspect.getsource(getattr(specs, hook))
    (line,) = [line for line in source.splitlines() if line.startswith("def ")]
    return line.removesuffix(":")


def section(start: str, end: str) -> str:
    return README.split(start, 1)[1].split(end, 1)[0]


def test_every_hook_has_an_entry_and_nothing_else_has() -> None:
    assert sorted(DESCRIBED) == sorted(HOOKS)
    assert sorted(ENTRIES) == sorted(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_reference_has_the_exact_signature(hook: str) -> None:
    assert ENTRIES[hook]["signature"] == signature(hook)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_reference_says_when_a_hook_is_called_and_what_it_returns(hook: str) -> None:
    text = ENTRIES[hook]["text"]

    assert text.startswith("Called ")
    assert "Returns " in text


@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_made_of_the_example_is_found_in_the_registry(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PluginFolder(tmp_path, monkeypatch)
    folder.add("mine", f"from attrs import frozen\n{ENTRIES[hook]['example']}")

    registry = discover((), folder.entries).collect()

    assert (registry.record("mine").status, registry.record("mine").reason) == (Status.ACTIVE, None)
    assert [offer.plugin for offer in registry.specs(hook)] == ["mine"]
    assert isinstance(registry.specs(hook)[0].spec, HOOKS[hook])


def test_the_table_of_request_fields_is_the_published_one() -> None:
    text = section("| field | capability |\n|---|---|\n", "\n\n")

    table = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", text, re.MULTILINE))

    assert table == {name: capability.value for name, capability in FIELD_CAPABILITIES.items()}


def test_every_other_capability_is_explained() -> None:
    text = section("| capability | what it says of the backend |\n|---|---|\n", "\n\n")

    explained = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)

    assert sorted(explained) == sorted(set(Capability) - set(FIELD_CAPABILITIES.values()))


def test_every_status_is_explained() -> None:
    text = section("| status | what it means |\n|---|---|\n", "\n\n")

    explained = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)

    assert explained == [status.value for status in Status]
