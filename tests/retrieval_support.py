"""Kernels with retrieval over the store and the readers of `retrieval_plugin`, for tests."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lmx.config import read, resolve
from lmx.kernel import Kernel
from lmx.plugins import PluginEntry, discover, installed
from lmx_hookspecs import EmbeddingRequest, Embeddings
from lmx_hookspecs.ingestion import Chunking, IngestReport, IngestRequest, SourceDocument
from plugin_folder import PluginFolder

BUILT_IN = ("echo", "priority", "tiny", "static")
QUICK = {"heartbeat_interval_s": 0.5, "restart_pause_s": 0.01, "max_restart_pause_s": 0.05, "stop_grace_s": 5}


def plugins_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *extra: str) -> list[PluginEntry]:
    """The plugin of the tests, as installed as any other, and some built-in ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    entry = PluginFolder(folder, monkeypatch).add("bench", "from retrieval_plugin import *")
    names = {*BUILT_IN, *extra}
    return [entry, *(one for one in installed() if one.name in names)]


@asynccontextmanager
async def retrieving(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *extra: str, workers: Any = None, **rag: Any
) -> AsyncIterator[Kernel]:
    """A kernel that runs; it is stopped at the end."""
    entries = plugins_of(folder / "plugins", monkeypatch, *extra)
    sections = {
        "rag": {"store": "inline", "embedding_model": "echo", "persist_path": str(folder / "rag"), **rag},
        "workers": {**QUICK, **(workers or {})},
    }
    config_dir = folder / "config"
    config_dir.mkdir()
    (config_dir / "10.yaml").write_text(json.dumps(sections))
    loader = discover((), entries)
    config = resolve(read(config_dir, {}, {}), loader.config_specs(), frozenset(entry.name for entry in entries))
    kernel = Kernel(config, loader.collect(), home=folder / "home")
    await kernel.start()
    try:
        yield kernel
    finally:
        await kernel.stop(5)


def texts(*contents: str, collection: str = "c", **fields: Any) -> IngestRequest:
    """An ingest of texts, with the ids d0, d1 and so on."""
    documents = [SourceDocument(id=f"d{place}", text=text) for place, text in enumerate(contents)]
    return IngestRequest(collection=collection, documents=documents, **fields)


def lines(*contents: str, **fields: Any) -> IngestRequest:
    """The same, cut into their lines."""
    return texts(*contents, chunking=Chunking(strategy="lines"), **fields)


async def ingested(kernel: Kernel, *documents: SourceDocument, **fields: Any) -> IngestReport:
    """What became of them."""
    return await kernel.retrieval.ingest(IngestRequest(collection="c", documents=documents, **fields))


def file(folder: Path, name: str, text: str) -> SourceDocument:
    """A file with that text."""
    path = folder / f"upload-{name}"
    path.write_text(text)
    return SourceDocument(id=name, path=path, name=name)


def ids(found: Sequence[Any]) -> list[str]:
    """Of the documents that were found."""
    return [one.hit.document_id for one in found]


def watch_embeddings(kernel: Kernel) -> list[EmbeddingRequest]:
    """The requests that the kernel's embedder gets from now on."""
    seen: list[EmbeddingRequest] = []

    async def embed(request: EmbeddingRequest) -> Embeddings:
        seen.append(request)
        return await kernel.embed(request)

    kernel.retrieval.embed = embed
    return seen
