"""The presets folder, as it was last read."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from lmx.log import logger
from lmx.names import PRESET
from lmx.presets.reading import LONGEST_NAME, BadPreset, read_preset
from lmx.structure import did_you_mean
from lmx_hookspecs import Logger, Preset
from lmx_hookspecs.errors import ModelNotFound

SUFFIXES = (".yaml", ".yml")


@frozen
class Shelf:
    """What a folder holds: presets by name, the files that are none with the reason, and what was left out of some."""

    presets: Mapping[str, Preset] = field(factory=dict)
    skipped: Mapping[str, str] = field(factory=dict)
    notes: Sequence[tuple[str, str]] = ()


@define(eq=False)
class PresetLibrary:
    """The presets service; it is empty until `reload` has been called."""

    directory: Path | None = None
    """None: there is no folder."""
    enabled: bool = True
    log: Logger = field(factory=lambda: logger("lmx"))
    _shelf: Shelf = field(factory=Shelf, init=False)

    def list(self) -> Sequence[Preset]:
        """By name."""
        return [self._shelf.presets[name] for name in sorted(self._shelf.presets)]

    def get(self, name: str) -> Preset:
        """One; raises ModelNotFound, since `preset:<name>` stands where a model's id does."""
        preset = self._shelf.presets.get(name)
        if preset is None:
            raise self._unknown(name)
        return preset

    def named(self, model: str) -> Preset | None:
        """The preset that a request's model means, None where it means none; raises ModelNotFound."""
        return self.get(model.removeprefix(PRESET)) if model.startswith(PRESET) else None

    def skipped(self) -> Mapping[str, str]:
        """Files of the folder that are no presets, and why."""
        return self._shelf.skipped

    async def reload(self) -> Sequence[Preset]:
        """Read the folder again."""
        shelf = Shelf()
        if self.enabled and self.directory is not None:
            shelf = await asyncio.to_thread(read_folder, self.directory)
        self._shelf = shelf
        for file, reason in shelf.skipped.items():
            self.log.warning("preset_skipped", file=file, reason=reason)
        for file, note in shelf.notes:
            self.log.warning("preset_setting_dropped", file=file, reason=note)
        return self.list()

    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Alias to the models of the presets that ask to stand behind it."""
        found: dict[str, list[str]] = {}
        for preset in self.list():
            if preset.routing_alias is not None:
                found.setdefault(preset.routing_alias, []).append(preset.model)
        return found

    def auto_load(self) -> Sequence[str]:
        """Models that presets want loaded at start, each once."""
        return [*dict.fromkeys(preset.model for preset in self.list() if preset.auto_load)]

    def performance_of(self, model_id: str) -> Mapping[str, Any]:
        """The settings that presets of this model load it with; of two that differ, the later name's."""
        merged: dict[str, Any] = {}
        for preset in self.list():
            if preset.model == model_id:
                merged |= preset.performance
        return merged

    def _unknown(self, name: str) -> ModelNotFound:
        if len(name) > LONGEST_NAME:
            return ModelNotFound(f"there is no preset {name[:40]!r}… ({len(name)} characters)", param="model")
        known = sorted(PRESET + preset for preset in self._shelf.presets)
        advice = did_you_mean(PRESET + name, known) or f"; there {'are ' + ', '.join(known) if known else 'is none'}"
        return ModelNotFound(f"there is no preset '{PRESET}{name}'{advice}", param="model")


def read_folder(folder: Path) -> Shelf:
    """Every preset in name order of the files; of two with one name, the later file's counts."""
    presets: dict[str, Preset] = {}
    skipped: dict[str, str] = {}
    notes: list[tuple[str, str]] = []
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    except FileNotFoundError:
        return Shelf()
    except OSError as error:
        return Shelf(skipped={str(folder): f"cannot be listed: {error.strerror}"})
    for file in files:
        try:
            preset, left_out = read_preset(file)
        except BadPreset as error:
            skipped[file.name] = str(error)
            continue
        earlier = presets.get(preset.name)
        if earlier is not None and earlier.file is not None:
            skipped[earlier.file.name] = f"{earlier.file}: {file.name} holds a preset of the same name, {preset.name!r}"
        presets[preset.name] = preset
        notes += [(file.name, note) for note in left_out]
    return Shelf(presets, skipped, notes)
