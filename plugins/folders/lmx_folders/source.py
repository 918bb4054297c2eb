"""Walks the configured folders and offers what lies in them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from lmx_hookspecs import Context, ModelInfo
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.model_files import Listing, ReadFolder, check_model_id, look
from lmx_hookspecs.places import quantized_models

DEEPEST = 3
"""Levels below a configured folder that are searched: `org/name/variant`."""


@define(eq=False)
class FolderSource:
    """Models by their path below one of `models.directories`, or below `$LMX_HOME/quantized`, with forward slashes."""

    _ctx: Context
    _listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listing = Listing("folders", self._scan, self._skipped)

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

    def _directories(self) -> list[Path]:
        """Those that are configured, and that of the models quantised here, once there is one."""
        configured = [Path(path).expanduser() for path in self._ctx.services.config.section("models").directories]
        own = quantized_models()
        return [*configured, own] if own.is_dir() else configured

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        for directory in self._directories():
            root = Path(os.path.realpath(directory))  # raises nothing, whatever the path is
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
