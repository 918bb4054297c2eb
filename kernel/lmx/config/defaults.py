"""The shipped drop-ins: every key of every schema at its default, commented out.

`python -m lmx.config.defaults [FOLDER]` writes them anew after a change to a schema; a test compares.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import getdoc
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

import attrs
from attrs import frozen

from lmx.config.schema import SECTIONS, Models, ModelSettings
from lmx.config.show import as_yaml
from lmx.structure import allowed_range, unstructure
from lmx_hookspecs import ConfigSpec, Option, options_of

SERVER_FILE = ("server", "logging", "security")
MODELS_FILE = ("models", "memory", "routing", "presets", "stack_presets", "prompts", "scheduling", "workers")
RAG_FILE = ("rag",)
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "stack_presets": {
        "workbench": {
            "description": "one model for code, another for talk",
            "roles": {"code": "lmx-tiny", "chat": "lmx-tiny"},
        }
    }
}
"""What sections may hold whose keys are names that somebody chooses: they have no default to uncomment."""
PLAIN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
LINE_LENGTH = 116
WIDEST = 60
"""Of a key with a list for its default, if both are to stand on one line."""
WORDS_OF_YAML = ("true", "false", "null")
INTRODUCTION = """\
# {title}
# Every key stands here at its default. Uncomment what you change; `lmx config check` says whether it fits.
"""


@frozen(kw_only=True)
class PluginKeys:
    """What a plugin can be told: its switch, and its sections."""

    name: str
    about: str
    enabled: bool
    specs: Sequence[ConfigSpec]


def drop_ins(plugins: Sequence[PluginKeys]) -> Mapping[str, str]:
    """File names and their text."""
    return {
        "00-server.yaml": _kernel_file("The server: its address, its log, and who may call it.", SERVER_FILE),
        "10-models.yaml": _kernel_file("Models: where they are, how they run, and who supervises them.", MODELS_FILE),
        "20-plugins.yaml": _plugins_file(plugins),
        "30-rag.yaml": _kernel_file(
            "Retrieval: how documents are cut, embedded, kept, searched and reranked.", RAG_FILE
        ),
    }


def _kernel_file(title: str, names: Sequence[str]) -> str:
    return "\n".join([INTRODUCTION.format(title=title), *map(_kernel_section, names)])


def _kernel_section(name: str) -> str:
    return _section(ConfigSpec(section=name, cls=SECTIONS[name], example=EXAMPLES.get(name, {})))


def _section(spec: ConfigSpec) -> str:
    if spec.entry is None:
        return f"# {getdoc(spec.cls)}\n{spec.section}:\n{_lines(spec.cls, indent=2)}"
    return f"# {getdoc(spec.entry)} For example:\n{spec.section}:\n{_example(spec.example)}"


def _example(entries: Mapping[str, Any]) -> str:
    return "".join(f"  # {line}\n" for line in as_yaml(entries).splitlines())


def _plugins_file(plugins: Sequence[PluginKeys]) -> str:
    text = INTRODUCTION.format(title="Plugins: which are switched on, and their keys.") + "\nplugins:\n"
    for plugin in plugins:
        own = "".join(_lines(spec.cls, indent=4) for spec in plugin.specs if spec.section is None)
        switch = f"    # enabled: {json.dumps(plugin.enabled)}\n"
        text += f"\n  # {plugin.about}\n  {plugin.name}:\n{switch}{own}"
    sections = [spec for plugin in plugins for spec in plugin.specs if spec.section is not None]
    return text + "".join(f"\n{_section(spec)}" for spec in sections)


def _lines(cls: type, indent: int) -> str:
    default, options = cls(), options_of(cls)
    written = [_written(name, getattr(default, name)) for name in options]
    width = max((len(pair) for pair, *_ in written), default=0)
    lines: list[str] = []
    for (pair, *items), field in zip(written, attrs.fields(cls), strict=True):
        comment = _comment(options[field.name], field.type)
        first, *rest = wrap(comment, LINE_LENGTH - indent - width) or [""]
        lines += [f"{pair.ljust(width)}  # {first}", *(f"#{' ' * width} # {line}" for line in rest), *items]
        if field.name == "settings" and cls is Models:
            lines += _entry_lines()
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


def _written(name: str, value: Any) -> list[str]:
    """The key with its value; a list too long for one line has a line for each of its items."""
    pair = f"# {name}: {_scalar(value)}"
    if len(pair) <= WIDEST or not isinstance(value, tuple):
        return [pair]
    return [f"# {name}:", *(f"#   - {_scalar(item)}" for item in value)]


def _entry_lines() -> Iterator[str]:
    """What the settings of a model may hold, told in words: there is none by default to uncomment."""
    options = options_of(ModelSettings)
    for field in attrs.fields(ModelSettings):
        yield f"#     {field.name}: {_comment(options[field.name], field.type)}"


def _comment(option: Option, kind: Any) -> str:
    choices = option.choices or _literals(kind)
    limit = allowed_range(option) or (f"one of {', '.join(map(str, choices))}" if choices else "")
    return f"{option.doc} ({limit})" if limit else option.doc


def _literals(kind: Any) -> Sequence[Any]:
    """The members of a Literal, also of one that may be null."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((get_args(member) for member in get_args(kind) if get_origin(member) is Literal), ())


def _scalar(value: Any) -> str:
    data = unstructure(value)
    simple = isinstance(data, str) and PLAIN_TEXT.fullmatch(data) and data not in WORDS_OF_YAML
    return str(data) if simple else json.dumps(data, ensure_ascii=False)


def built_in_plugins() -> Sequence[PluginKeys]:
    """The keys of every plugin of our own distribution, imported to be asked."""
    from lmx.plugins import discover, installed

    entries = [entry for entry in installed() if entry.distribution == "opta-lmx"]
    specs = discover(entries=entries).config_specs()
    return [
        PluginKeys(
            name=entry.name,
            about=_about(entry.module),
            enabled=not entry.off_by_default,
            specs=specs.get(entry.name, ()),
        )
        for entry in entries
    ]


def _about(module: str) -> str:
    doc = getattr(sys.modules.get(module), "__doc__", None) or ""
    return doc.partition("\n")[0]


def main(folder: Path) -> None:
    """Write the drop-ins into `folder`."""
    for name, text in drop_ins(built_in_plugins()).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "config.d"))
