"""Turns an Opta-LMX configuration into ours, and accounts for every key of it."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import define, field, frozen

from lmx.config import speculation
from lmx.config.defaults import MODELS_FILE, RAG_FILE, SERVER_FILE
from lmx.config.files import expanded
from lmx.config.legacy import (
    BACKENDS,
    FREE_SECTIONS,
    KEYS,
    PRESETS_DIRECTORY,
    PRESETS_FOLDER,
    RAG_STORE,
    TO_IMPORT,
    Fate,
    Key,
    fate_of_name,
    setting,
)
from lmx.config.merge import plain
from lmx.config.show import as_yaml, leaves
from lmx.config.yaml import BadYaml, parse
from lmx.structure import did_you_mean
from lmx_hookspecs.errors import ConfigError, Conflict

Complaint = Callable[[Key, Any], str | None]
"""What is wrong with a value at one of our keys, or None."""

FILES: Mapping[str, tuple[str, ...]] = {
    "00-server.yaml": SERVER_FILE,
    "10-models.yaml": MODELS_FILE,
    "20-plugins.yaml": ("plugins", "helper_nodes", BACKENDS),
    "30-rag.yaml": RAG_FILE,
}
LATER_FILE = "90-imported-later.yaml"


@frozen(kw_only=True)
class Outcome:
    """What became of one key, preset or file of the earlier system."""

    key: str
    fate: Literal["kept", "renamed", "dropped"]
    to: str = ""
    reason: str = ""


@define
class Import:
    """An earlier configuration taken apart: what is ours now, what is left over, and the account of both."""

    taken: dict[str, Any] = field(factory=dict)
    left: dict[str, Any] = field(factory=dict)
    presets: dict[str, str] = field(factory=dict)
    outcomes: list[Outcome] = field(factory=list)

    def take(self, key: Key, value: Any, fate: Fate) -> None:
        """Put a value where it belongs now."""
        to = fate.to or ()
        _put(self.taken, to, [value] if fate.as_list else value)
        self._tell(key, "kept" if to == key else "renamed", to=".".join(to), reason=fate.reason)

    def take_each(self, key: Key, value: Any, places: Sequence[Key], reason: str) -> None:
        """Put one value in several places."""
        for place in places:
            _put(self.taken, place, value)
        self._tell(key, "renamed", to=", ".join(".".join(place) for place in places), reason=reason)

    def leave(self, key: Key, value: Any, reason: str) -> None:
        """Keep a value for later, as a comment; each of its leaves is accounted for."""
        _put(self.left, key, value)
        for path, _ in leaves(value, key):
            self._tell(path, "dropped", reason=reason)

    def take_preset(self, file: Path) -> None:
        """Copy a preset, if it is one."""
        from lmx.presets.reading import BadPreset, read_preset

        key = f"presets/{file.name}"
        try:
            _, notes = read_preset(file)
        except BadPreset as error:
            self.outcomes.append(Outcome(key=key, fate="dropped", reason=str(error)))
            return
        self.presets[file.name] = file.read_text(encoding="utf-8-sig")
        self.outcomes.append(Outcome(key=key, fate="kept", to=key, reason="; ".join(["copied", *notes])))

    def move(self, key: Key, to: str, reason: str) -> None:
        """Tell that what a key stood for lies in another place now."""
        self._tell(key, "renamed", to=to, reason=reason)

    def _tell(self, key: Key, fate: Literal["kept", "renamed", "dropped"], *, to: str = "", reason: str = "") -> None:
        self.outcomes.append(Outcome(key=".".join(key), fate=fate, to=to, reason=reason))


def read_old(file: Path) -> Mapping[str, Any]:
    """The earlier configuration as plain data; it was YAML 1.1, where `yes` is true. Raises ConfigError."""
    try:
        data = plain(parse(file.read_bytes().decode("utf-8-sig"), str, version=(1, 1)))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text, so it is no configuration") from None
    except BadYaml as error:
        raise ConfigError("\n".join(f"{file}:{line}: {message}" for line, message in error.problems)) from None
    if data is None:
        raise ConfigError(f"{file}: is empty: there is nothing to import")
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: must hold sections such as `server:`: is it an Opta-LMX configuration?")
    return data


def convert(old: Mapping[str, Any], complaint: Complaint) -> Import:
    """Take the old configuration apart; a value that we could not use is left with the reason."""
    result = Import()
    contradicts = _default_models_differ(old)
    for key, value in _entries(old):
        fate = _fate(key)
        if key == PRESETS_DIRECTORY:
            continue  # `import_presets` sees to it
        if key in speculation.SETTINGS:
            _take_draft(key, value, old, result, complaint)
            continue
        if fate.to is None:
            result.leave(key, value, fate.reason)
        elif contradicts and key == ("models", "default_model"):
            result.leave(key, value, "had no effect, and contradicts routing.default_model")
        elif problem := complaint(fate.to, [value] if fate.as_list else value):
            result.leave(key, value, problem)
        else:
            result.take(key, value, fate)
    return result


def _take_draft(key: Key, value: Any, old: Mapping[str, Any], result: Import, complaint: Complaint) -> None:
    places, reason = speculation.places_of(key, old)
    problem = next((problem for place in places if (problem := complaint(place, value))), None)
    if not places or problem:
        result.leave(key, value, problem or reason)
    else:
        result.take_each(key, value, places, reason)


def import_presets(old: Mapping[str, Any], result: Import) -> None:
    """Copy the presets folder that the old configuration names, or the usual one, to where ours is by default."""
    value = setting(old, *PRESETS_DIRECTORY)
    folder = expanded(Path(str(value or PRESETS_FOLDER)))
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        result.take_preset(file)
    if PRESETS_DIRECTORY in dict(_entries(old)):
        if folder.is_dir():
            result.move(PRESETS_DIRECTORY, "presets/", "its presets are copied there, beside the configuration")
        else:
            result.leave(PRESETS_DIRECTORY, value, f"there is no folder {folder}")


def hand_over_rag_store(old: Mapping[str, Any], result: Import, store_folder: Path) -> None:
    """Copy the earlier store to where the server takes it in when it starts; it stays where it is as well."""
    file = expanded(Path(str(setting(old, "rag", "persist_path") or RAG_STORE)))
    if not file.is_file():
        return
    to = store_folder / TO_IMPORT / file.name
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(file, to)
        to.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"{to}: the documents of {file} cannot be copied there: {error.strerror}") from None
    reason = "copied there; the server takes its documents in when it starts, and keeps their vectors if it can"
    result.outcomes.append(Outcome(key=str(file), fate="kept", to=str(to), reason=reason))


def _entries(old: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    for section, body in old.items():
        if isinstance(body, dict) and body:
            yield from (((section, name), value) for name, value in body.items())
        else:
            yield (section,), body


def _fate(key: Key) -> Fate:
    if key in KEYS:
        return KEYS[key]
    if key[0] in FREE_SECTIONS and len(key) > 1:
        return fate_of_name(key)
    sections = {*FREE_SECTIONS, *(known[0] for known in KEYS)}
    if len(key) == 1:
        known_one = key[0] in sections
        return Fate(None, "holds no keys" if known_one else f"unknown section{did_you_mean(key[0], sections)}")
    siblings = [known[1] for known in KEYS if known[0] == key[0]]
    return Fate(None, f"unknown key{did_you_mean(key[1], siblings)}")


def _default_models_differ(old: Mapping[str, Any]) -> bool:
    both = [setting(old, section, "default_model") for section in ("models", "routing")]
    return None not in both and both[0] != both[1]


def _put(tree: dict[str, Any], key: Key, value: Any) -> None:
    for step in key[:-1]:
        tree = tree.setdefault(step, {})
    tree[key[-1]] = value


def write(result: Import, folder: Path, *, source: Path, force: bool) -> list[Path]:
    """Write the drop-ins and presets; raises Conflict, before anything is written, where a file exists already."""
    texts = {folder / name: text for name, text in _texts(result, source).items()}
    taken = [str(file) for file in texts if file.exists()]
    if taken and not force:
        raise Conflict(f"already there: {', '.join(taken)}; choose another --output, or --force to replace them")
    try:
        for file, text in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            file.chmod(0o600)  # it may hold a key
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return list(texts)


def _texts(result: Import, source: Path) -> dict[str, str]:
    heading = f"# Imported from {source}.\n"
    texts = {
        name: heading + as_yaml({section: result.taken[section] for section in sections if section in result.taken})
        for name, sections in FILES.items()
        if any(section in result.taken for section in sections)
    }
    if result.left:
        body = "".join(f"# {line}\n" for line in as_yaml(result.left).splitlines())
        texts[LATER_FILE] = f"{heading}# What has no place in this version, kept so that nothing is lost.\n{body}"
    return {**texts, **{f"presets/{name}": text for name, text in result.presets.items()}}
