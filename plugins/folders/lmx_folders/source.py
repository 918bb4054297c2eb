"""Walks the configured folders and offers what lies in them."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from lmx_folders.deleting import delete_folder, delete_gguf
from lmx_hookspecs import Context, ModelInfo
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound
from lmx_hookspecs.model_files import Listing, ReadFolder, check_model_id, look
from lmx_hookspecs.places import quantized_models

DEEPEST = 3
"""Levels below a configured folder that are searched: `org/name/variant`."""


@define(eq=False)
class FolderSource:
    """Models by their path below one of `models.directories`, or below `$LMX_HOME/quantized`, with forward slashes."""

    _ctx: Context
    _listing: Listing = field(init=False)
    _deleting: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._look_again()

    def models(self) -> Sequence[ModelInfo]:
        """Everything in the folders now."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id; raises InvalidRequest for one that leads out of the folders."""
        check_model_id(model_id)
        info = self._listing.find(model_id)
        if info is None:
            self._refuse_link(model_id)
        return info

    def delete(self, model_id: str) -> int:
        """Delete a folder model with its folder, or a GGUF model's files alone; returns the bytes freed.

        Raises ModelNotFound, and Conflict for a configured folder, a link, and a folder with another model in it.
        """
        with self._deleting:
            info = self.find(model_id)
            if info is None or info.path is None:
                raise ModelNotFound(f"no model folder holds {model_id}", param="model_id")
            root = self._root_of(info.path)
            try:
                freed_bytes = delete_gguf(info.path) if info.format == "gguf" else delete_folder(info.path, root)
            except OSError as error:
                raise Conflict(f"{model_id} could not be deleted: {error}; check who owns {root}") from error
            finally:
                self._look_again()
        return freed_bytes

    def _root_of(self, path: Path) -> Path:
        """The model folder that a model is in, and may be deleted from; raises Conflict."""
        real = Path(os.path.realpath(path))
        if real != path:
            raise Conflict(f"{path} is a link to {real}; delete the model there, or the link by hand")
        roots = self._roots()
        above = [root for root in roots if root in path.parents]
        if not above or any(root.is_relative_to(path) for root in roots):
            raise Conflict(
                f"{path} is a model folder itself, or holds one, and LMX keeps those; delete its files by hand"
            )
        return above[0]

    def _roots(self) -> list[Path]:
        return [Path(os.path.realpath(path)) for path in self._directories()]  # raises nothing, whatever a path is

    def _directories(self) -> list[Path]:
        """Those that are configured, and that of the models quantised here, once there is one."""
        configured = [Path(path).expanduser() for path in self._ctx.services.config.section("models").directories]
        own = quantized_models()
        return [*configured, own] if own.is_dir() else configured

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        for root in self._roots():
            yield from self._walk(root, root, DEEPEST, read)

    def _walk(self, path: Path, root: Path, levels: int, read: ReadFolder) -> Iterator[ModelInfo]:
        try:
            folder = look(path, root)
        except OSError as error:
            self._skipped(path, str(error))
            return
        yield from read(folder, "" if path == root else path.relative_to(root).as_posix())
        for name in folder.folders if levels else ():
            # A hub's cache has a plugin of its own, which knows which of its snapshots counts.
            if not name.startswith((".", "models--")):
                yield from self._walk(path / name, root, levels - 1, read)

    def _look_again(self) -> None:
        self._listing = Listing("folders", self._scan, self._skipped)

    def _skipped(self, path: Path, reason: str) -> None:
        self._ctx.log.warning("model_folder_skipped", path=str(path), reason=reason)

    def _refuse_link(self, model_id: str) -> None:
        for directory in self._directories():
            path = directory / model_id
            linked = os.path.islink(path)  # noqa: PTH114  Path.is_symlink raises for names that are too long
            if linked and not path.resolve().is_relative_to(directory.resolve()):
                raise InvalidRequest(
                    f"model {model_id} is a link that leads out of {directory}; add the folder that it points to to "
                    "models.directories",
                    param="model",
                )
