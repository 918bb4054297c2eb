"""For model sources: what a folder of weights holds, and a listing that does not read the disk for every request."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attrs import define, field, frozen

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.gguf import DamagedGguf, GgufHeader, read_gguf_header
from lmx_hookspecs.gguf_names import gguf_meant, quantisation_of
from lmx_hookspecs.model_kinds import CROSS_ENCODER, RERANKS, abilities, gguf_abilities
from lmx_hookspecs.models import ModelInfo

INDEX = "model.safetensors.index.json"
LARGEST_JSON_BYTES = 64 * 1024**2
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "n_ctx")
SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})(?P<suffix>\.\w+)")


class FileFacts(NamedTuple):
    """What tells that a file has changed."""

    size_bytes: int
    mtime_ns: int


@frozen
class Folder:
    """What lies in a folder, without links that are broken or lead out of its root."""

    path: Path
    files: Mapping[str, FileFacts]
    folders: Sequence[str]


ReadFolder = Callable[[Folder, str], Sequence[ModelInfo]]
"""The models directly in a folder that has been looked at, under a model id."""


def look(path: Path, root: Path) -> Folder:
    """List one folder; `root` is a resolved path that no link may leave. Raises OSError.

    Names that cannot be printed, such as those that are not UTF-8, could be no part of an id and are left out.
    """
    files: dict[str, FileFacts] = {}
    folders = []
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.isprintable() or (entry.is_symlink() and not _stays_inside(Path(entry.path), root)):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file():
                facts = entry.stat()
                files[entry.name] = FileFacts(facts.st_size, facts.st_mtime_ns)
    return Folder(path, files, sorted(folders))


def models_in(folder: Folder, *, model_id: str, source: str) -> list[ModelInfo]:
    """The folder itself if it has the Hugging Face layout, and each GGUF file directly in it as `model_id/file`.

    Models of which files are missing are left out. Raises whatever odd contents of its JSON files lead to.
    """
    prefix = f"{model_id}/" if model_id else ""
    found = [_gguf(folder, parts, f"{prefix}{parts[0]}", source) for parts in _gguf_files(folder)]
    weights = _weights(folder) if "config.json" in folder.files else []
    if weights:
        found.append(_safetensors(folder, weights, model_id or folder.path.name, source))
    return found


def check_model_id(model_id: str) -> None:
    """Refuse what could never be an id, and looks like an attempt to leave the folders."""
    parts = model_id.split("/")
    if not model_id or any(part in {"", ".", ".."} for part in parts) or re.search(r"[\\\0]|^~|^[A-Za-z]:", model_id):
        raise InvalidRequest(
            f"{model_id!r} is not a model id: ids are names such as 'org/name' below the model folders; "
            "`lmx models list` shows them",
            param="model",
        )


def refuse_remote_code(info: ModelInfo) -> None:
    """Refuse a model that brings code of its own to run, unless its settings say to open it without that code."""
    if info.details.get("remote_code") and not info.settings.get("ignore_remote_code"):
        raise InvalidRequest(
            f"model {info.id} wants remote code: its configuration names Python files to run, and LMX runs none that "
            f"come with a model; use a conversion without auto_map, or set models.settings.{info.id}."
            "ignore_remote_code: true to open it with the engine's own implementation",
            param="model",
        )


MISS_AGE_S = 0.2
"""A scan this young is believed when it does not know an id: asking for nonsense must not keep the disk busy."""


@define(eq=False)
class Listing:
    """Models on disk: looked for again once older than `max_age_s`; folders that did not change are not read again.

    `scan(read)` walks the disk and calls `read(folder, model_id)` for each folder that may hold models. Safe to use
    from several threads.
    """

    source: str
    scan: Callable[[ReadFolder], Iterable[ModelInfo]]
    skipped: Callable[[Path, str], None]
    """Told the path and the reason of a folder that looks like a model and cannot be read."""
    max_age_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _by_id: Mapping[str, ModelInfo] = field(factory=dict, init=False)
    _scanned_at_s: float | None = field(default=None, init=False)
    _known: dict[Path, tuple[Mapping[str, FileFacts], Sequence[ModelInfo]]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def by_id(self) -> Mapping[str, ModelInfo]:
        """Every model by its id; of two with one id, the first that the scan came upon."""
        with self._lock:
            now_s = self.clock()
            if self._scanned_at_s is None or now_s - self._scanned_at_s > self.max_age_s:
                self._by_id = self._scan()
                self._scanned_at_s = now_s
            return self._by_id

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id; what is not known is looked for again, since it may just have been put there."""
        known = self.by_id()
        info = _known_as(model_id, known)
        if info is None:
            self._doubt(known)
            info = _known_as(model_id, self.by_id())
        return info

    def _doubt(self, known: Mapping[str, ModelInfo]) -> None:
        """Have the next look scan again, unless what was looked at is young, or replaced by now."""
        with self._lock:
            scanned_at_s = self._scanned_at_s
            if self._by_id is known and scanned_at_s is not None and self.clock() - scanned_at_s > MISS_AGE_S:
                self._scanned_at_s = None

    def _scan(self) -> Mapping[str, ModelInfo]:
        seen: dict[Path, tuple[Mapping[str, FileFacts], Sequence[ModelInfo]]] = {}

        def read(folder: Folder, model_id: str) -> Sequence[ModelInfo]:
            known = self._known.get(folder.path)
            models = known[1] if known and known[0] == folder.files else self._read(folder, model_id)
            seen[folder.path] = (folder.files, models)
            return models

        found: dict[str, ModelInfo] = {}
        for info in self.scan(read):
            found.setdefault(info.id, info)
        self._known = seen
        return found

    def _read(self, folder: Folder, model_id: str) -> Sequence[ModelInfo]:
        try:
            return models_in(folder, model_id=model_id, source=self.source)
        except Exception as error:  # the files are somebody else's: what is odd about one must not hide the others
            self.skipped(folder.path, f"{type(error).__name__}: {error}")
            return []


def _known_as(model_id: str, known: Mapping[str, ModelInfo]) -> ModelInfo | None:
    """By its id, or by that of its folder, alone or with a quantisation."""
    exact = known.get(model_id)
    return exact if exact is not None else gguf_meant(model_id, known)


def _stays_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # broken, or a circle of links
        return False


def _safetensors(folder: Folder, weights: Sequence[str], model_id: str, source: str) -> ModelInfo:
    config = _read_json(folder, "config.json")
    tokenizer = _read_json(folder, "tokenizer_config.json") if "tokenizer_config.json" in folder.files else {}
    able = abilities(config, folder.files)
    return ModelInfo(
        id=model_id,
        format=CROSS_ENCODER if able == RERANKS else "safetensors",
        path=folder.path,
        size_bytes=sum(folder.files[name].size_bytes for name in weights),
        source=source,
        context_length=_context_length(config),
        capabilities=able,
        created=max(folder.files[name].mtime_ns for name in weights) // 10**9,
        details=_details(config, tokenizer),
    )


def _gguf(folder: Folder, parts: Sequence[str], model_id: str, source: str) -> ModelInfo:
    header = _gguf_header(folder.path / parts[0])
    return ModelInfo(
        id=model_id,
        format="gguf",
        path=folder.path / parts[0],
        size_bytes=sum(folder.files[name].size_bytes for name in parts),
        source=source,
        context_length=header.number("context_length") or None,
        capabilities=gguf_abilities(header),
        created=max(folder.files[name].mtime_ns for name in parts) // 10**9,
        details=_known({"architecture": header.architecture or None, "quantization": quantisation_of(parts[0])}),
    )


def _gguf_header(path: Path) -> GgufHeader:
    """Empty for a damaged file: loading it says what is wrong."""
    try:
        return read_gguf_header(path, vocabulary=False)
    except (OSError, DamagedGguf):
        return GgufHeader({}, 0, 0)


def _weights(folder: Folder) -> Sequence[str]:
    """Names of the weight files; empty while one of them is missing."""
    if INDEX in folder.files:
        wanted = set(_read_json(folder, INDEX).get("weight_map", {}).values())
    else:
        present = [name for name in folder.files if name.endswith(".safetensors")]
        chosen = [name for name in present if name.startswith("model")] or present
        wanted = {part for name in chosen for part in _parts(name)}
    return sorted(wanted) if wanted <= folder.files.keys() else []


def _gguf_files(folder: Folder) -> Sequence[Sequence[str]]:
    """Each complete GGUF model's files, the one to open first; projectors (`mmproj`) are no models."""
    names = [name for name in folder.files if name.endswith(".gguf") and not name.startswith("mmproj")]
    models = {tuple(_parts(name)) for name in names}
    return sorted(parts for parts in models if folder.files.keys() >= set(parts))


def _parts(name: str) -> Sequence[str]:
    """All files of the model that this one belongs to, where a name such as `x-00001-of-00003.gguf` says so."""
    split = SPLIT.fullmatch(name)
    if split is None or not 1 <= int(split["part"]) <= int(split["parts"]):
        return [name]
    count = split["parts"]
    return [f"{split['stem']}-{part:05}-of-{count}{split['suffix']}" for part in range(1, int(count) + 1)]


def _context_length(config: Mapping[str, Any]) -> int | None:
    nested = config.get("text_config")
    for section in (config, nested if isinstance(nested, dict) else {}):
        for key in CONTEXT_KEYS:
            value = section.get(key)
            if isinstance(value, int) and value > 0:
                return value
    return None


def _details(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Mapping[str, Any]:
    quantization = config.get("quantization") or config.get("quantization_config")
    facts = {
        "architecture": next(iter(config.get("architectures") or ()), None),
        "model_type": config.get("model_type"),
        "dtype": config.get("dtype") or config.get("torch_dtype"),
        "bits": quantization.get("bits") if isinstance(quantization, dict) else None,
        "remote_code": any(key in config for key in ("auto_map", "model_file")) or "auto_map" in tokenizer or None,
    }
    return _known(facts)


def _known(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _read_json(folder: Folder, name: str) -> Mapping[str, Any]:
    if folder.files[name].size_bytes > LARGEST_JSON_BYTES:
        raise ValueError(f"{name} is larger than any model's")
    data = json.loads((folder.path / name).read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004  the file's fault, not a caller's
    return data
