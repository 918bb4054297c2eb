"""Which files of a repository are worth downloading: weights that LMX opens, once, and what belongs to them."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lmx_hookspecs import DownloadRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.gguf_names import choose_gguf
from lmx_hookspecs.model_files import SPLIT
from lmx_hub.api import HubFile
from lmx_hub.names import Target

COMPANIONS = frozenset({".json", ".jinja", ".txt", ".model", ".tiktoken"})
"""Configuration, tokenizer and templates; never code, nor pickles."""
CODE = frozenset({".py", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".so", ".dll", ".dylib", ".sh", ".exe"})
"""Suffixes of what may run when it is opened: never downloaded, whatever a pattern allows."""
MOST_NAMED = 20


def select(files: Sequence[HubFile], target: Target, request: DownloadRequest) -> Sequence[HubFile]:
    """The files to fetch; raises InvalidRequest where there are none, or too many to choose from.

    What the request allows is taken, but for what may hold code: where a pattern names that, the request is refused.
    Otherwise safetensors are preferred to GGUF, and of many quantisations of one GGUF model Q4_K_M is taken, or the
    nearest: `gguf_names` of the contract has the rule.
    """
    safe = [file for file in files if _suffix(file) not in CODE]
    wanted = [file for file in safe if not _matches(file.path, request.ignore_patterns or ())]
    if request.allow_patterns is not None:
        _refuse_code(files, request)
        chosen = [file for file in wanted if _matches(file.path, request.allow_patterns)]
        if not chosen:
            raise InvalidRequest(_nothing_matches(target.repo_id, files), param="allow_patterns")
        return chosen
    companions = [file for file in wanted if _suffix(file) in COMPANIONS]
    if target.file or target.quantisation:
        return [*companions, *_named(wanted, target)]
    return [*companions, *(_safetensors(wanted) or _usual_gguf(wanted, target.repo_id))]


def left_out(files: Sequence[HubFile], request: DownloadRequest) -> Sequence[str]:
    """What the patterns of the request allow and is not fetched all the same: it may hold code."""
    code = [file.path for file in files if _suffix(file) in CODE]
    allowed = [path for path in code if _matches(path, request.allow_patterns or ())]
    return [path for path in allowed if not _matches(path, request.ignore_patterns or ())]


def _refuse_code(files: Sequence[HubFile], request: DownloadRequest) -> None:
    """Raise InvalidRequest where a pattern ends as such a file does; one like `*` merely includes it."""
    for pattern in request.allow_patterns or ():
        named = [path for path in left_out(files, request) if _matches(path, [pattern])]
        if named and PurePosixPath(pattern).suffix.lower() in CODE:
            raise InvalidRequest(
                f"{pattern!r} asks for {named[0]}: files that may hold code, pickles among them, are never downloaded; "
                "leave that pattern out, and take weights as safetensors or GGUF",
                param="allow_patterns",
            )


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Shell patterns as huggingface_hub reads them: `*` crosses folders, a folder's name means all in it."""
    return any(fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern) for pattern in patterns)


def _suffix(file: HubFile) -> str:
    return PurePosixPath(file.path).suffix.lower()


def _safetensors(files: Sequence[HubFile]) -> Sequence[HubFile]:
    """The weights that would be opened; the same again under other names, or in folders, is left out."""
    found = [file for file in files if _suffix(file) == ".safetensors" and "/" not in file.path]
    return [file for file in found if file.path.startswith("model")] or found


def _gguf_models(files: Sequence[HubFile]) -> dict[str, list[HubFile]]:
    """By the path to open it by, the files of each GGUF model; projectors (`mmproj`) are no models."""
    models: dict[str, list[HubFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        name = PurePosixPath(file.path)
        if name.suffix == ".gguf" and not name.name.startswith("mmproj"):
            split = SPLIT.fullmatch(file.path)
            first = f"{split['stem']}-00001-of-{split['parts']}.gguf" if split else file.path
            models.setdefault(first, []).append(file)
    return models


def _named(files: Sequence[HubFile], target: Target) -> Sequence[HubFile]:
    models = _gguf_models(files)
    chosen = target.file if target.quantisation is None else choose_gguf(models, target.quantisation)
    if chosen not in models:
        raise InvalidRequest(
            f"the repository {target.repo_id} has no GGUF model {target.file or target.quantisation}; "
            f"{_listed(models)}",
            param="repo_id",
        )
    return models[chosen]


def _usual_gguf(files: Sequence[HubFile], repo_id: str) -> Sequence[HubFile]:
    models = _gguf_models(files)
    if not models:
        raise InvalidRequest(
            f"the repository {repo_id} has no weights as safetensors or GGUF, and LMX opens no others; look for a "
            "conversion of the model",
            param="repo_id",
        )
    chosen = choose_gguf(models)
    if chosen is None:
        raise InvalidRequest(
            f"the repository {repo_id} has several GGUF models, and none is the obvious one: choose with "
            f"allow_patterns, or ask for {repo_id}/<file>; {_listed(models)}",
            param="allow_patterns",
        )
    return models[chosen]


def _nothing_matches(repo_id: str, files: Sequence[HubFile]) -> str:
    return f"no file of {repo_id} matches the patterns; {_listed([file.path for file in files])}"


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"there {'is' if len(known) == 1 else 'are'}: {', '.join(known[:MOST_NAMED]) or 'none'}{more}"
