"""Whose tokens are counted: those of the model that embeds, as far as its tokenizer can be read."""

import asyncio
from pathlib import Path

from attrs import frozen

from lmx.calls import helper_for
from lmx.models.catalogue import Catalogue
from lmx.routing import Router
from lmx_hookspecs import Capability
from lmx_hookspecs.errors import LmxError, ModelNotFound, Unavailable

STAND_IN = "lmx-tiny-embed"
FILE = "tokenizer.json"


@frozen(kw_only=True)
class Tokenizer:
    """The file of a tokenizer, and what has to be said about it."""

    path: Path
    warning: str = ""


@frozen
class Tokenizers:
    """Of the models here."""

    _catalogue: Catalogue
    _router: Router

    async def of(self, model: str) -> Tokenizer:
        """That of the model which would embed for this name, else of the built-in one; raises Unavailable."""
        model_id = await self._embedder(model)
        own = await self._file(model_id) if model_id else None
        if own:
            return Tokenizer(path=own)
        stand_in = await self._file(STAND_IN)
        if stand_in is None:
            raise Unavailable(
                f"there is no {FILE} for {model_id or model!r}, nor the model {STAND_IN} to count in its place; "
                "put the file into the model's folder",
                code="retrieval_unavailable",
            )
        warning = f"tokens were counted by {STAND_IN}: there is no {FILE} for {model_id or model}"
        return Tokenizer(path=stand_in, warning=warning)

    async def _embedder(self, model: str) -> str | None:
        """The first to be asked, as `Calls` has it; None where that call will say why nobody can be."""
        helper = helper_for(self._catalogue, Capability.EMBED)
        if helper is not None:
            return helper.model
        try:
            return (await self._router.resolve(model, frozenset({Capability.EMBED})))[0]
        except LmxError:
            return None

    async def _file(self, model_id: str) -> Path | None:
        try:
            info = await self._catalogue.find(model_id)
        except ModelNotFound:
            return None
        file = info.path / FILE if info.path else None
        found = file is not None and await asyncio.to_thread(file.is_file)
        return file if found else None
