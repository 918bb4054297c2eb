"""The engine: inputs to token ids to vectors, in parts, so that requests take turns."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from attrs import frozen
from tokenizers import Tokenizer

from lmx_hookspecs import (
    Capability,
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    GenerationRequest,
    ModelInfo,
    Piece,
)
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, UnsupportedParameter
from lmx_static.inputs import Input, Reader, parts
from lmx_static.table import Table, table_of
from lmx_static.weights import read_tensors

MAX_TOKENS = 8192
"""Of one input, for models that do not say."""
MAX_ROWS = 32
"""Inputs that the scheduler lets in together: they take turns, so more would only wait here in place of there."""


@frozen(eq=False)
class StaticEngine:
    """A TextEngine that embeds and does nothing else."""

    reader: Reader
    table: Table
    matryoshka: bool
    """Whether the first components of a vector are the most important ones."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector of length one per input; after each part, others get their turn."""
        dimensions = self._dimensions(request.dimensions)
        vectors: list[Sequence[float]] = []
        prompt_tokens = 0
        for part in parts(request.inputs):
            made, tokens = self._embed(part, dimensions)
            vectors += made
            prompt_tokens += tokens
            await asyncio.sleep(0)
        return Embeddings(vectors=vectors, prompt_tokens=prompt_tokens)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """It cannot."""
        raise UnsupportedParameter(f"model {request.model!r} only embeds; ask another one for text", param="model")
        yield  # what makes this a generator, as the protocol wants

    def describe(self) -> EngineDescription:
        """What it is; its memory is that of the process it lives in."""
        return EngineDescription(
            context_length=self.reader.max_tokens,
            capabilities=frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS}),
            memory_bytes=psutil.Process().memory_info().rss,
            max_rows=MAX_ROWS,
            details={
                "dimensions": self.table.dimensions,
                "matryoshka": self.matryoshka,
                "vocab_size": self.table.rows,
                "dtype": "int8",
            },
        )

    async def close(self) -> None:
        """There is nothing but memory."""

    def _embed(self, part: Sequence[Input], dimensions: int) -> tuple[list[Sequence[float]], int]:
        tokens = self.reader.read(part)
        return self.table.embed(tokens, dimensions).tolist(), sum(map(len, tokens))

    def _dimensions(self, wanted: int | None) -> int:
        """How many components to give; raises InvalidRequest, also where all vectors have one length."""
        most = self.table.dimensions
        if wanted is None or wanted == most:
            return most
        if not self.matryoshka:
            raise UnsupportedParameter(f"the vectors of this model have {most} dimensions", param="dimensions")
        if not 1 <= wanted <= most:
            raise InvalidRequest(f"dimensions is {wanted}; this model gives 1 to {most}", param="dimensions")
        return wanted


def opened(model: ModelInfo) -> StaticEngine:
    """The engine of a folder with config.json, tokenizer.json and model.safetensors."""
    if model.path is None:
        raise EngineFailed(f"model {model.id!r} has no folder to open")
    try:
        return _opened(model.path)
    except Exception as error:  # the files may be damaged in any way, and tokenizers raises bare Exception
        raise EngineFailed(f"model {model.id!r} cannot be opened: {error}; get its files again") from error


def _opened(folder: Path) -> StaticEngine:
    config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = table_of(read_tensors(folder / "model.safetensors"))
    if tokenizer.get_vocab_size() > table.rows:
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens have {table.rows} vectors")
    reader = Reader(tokenizer, vocab_size=table.rows, max_tokens=config.get("max_sequence_length", MAX_TOKENS))
    return StaticEngine(reader, table, matryoshka=bool(config.get("matryoshka")))
