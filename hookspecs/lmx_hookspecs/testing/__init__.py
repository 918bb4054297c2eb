"""Contract checks and fakes that plugin authors call from their tests.

    from lmx_hookspecs.testing import check_plugin, check_text_engine

    def test_the_plugin_keeps_the_contract():
        check_plugin(lmx_mine)

A check raises AssertionError with what is wrong; `check_plugin` raises PluginError where the loader itself would refuse
the plugin. All are plain functions: those of asynchronous objects run a loop of their own.
"""

from lmx_hookspecs.testing.chunker import check_chunker, check_cut
from lmx_hookspecs.testing.dialect import DialectSample, Reading, check_dialect, read_dialect
from lmx_hookspecs.testing.embedding_engine import check_embedding_engine, check_embedding_step_engine
from lmx_hookspecs.testing.fakes import (
    FakeContext,
    FakeEvents,
    FakeGeneration,
    FakeInstrument,
    FakeLogger,
    FakeMetrics,
    FakeModels,
    FakeServices,
)
from lmx_hookspecs.testing.guard import check_guard
from lmx_hookspecs.testing.model_source import check_model_source
from lmx_hookspecs.testing.plugin import check_plugin
from lmx_hookspecs.testing.reader import check_reader
from lmx_hookspecs.testing.reranker import check_reranker
from lmx_hookspecs.testing.retriever import check_retriever
from lmx_hookspecs.testing.scheduler import check_scheduler
from lmx_hookspecs.testing.step_engine import check_step_engine
from lmx_hookspecs.testing.text_engine import check_text_engine

__all__ = [
    "DialectSample",
    "FakeContext",
    "FakeEvents",
    "FakeGeneration",
    "FakeInstrument",
    "FakeLogger",
    "FakeMetrics",
    "FakeModels",
    "FakeServices",
    "Reading",
    "check_chunker",
    "check_cut",
    "check_dialect",
    "check_embedding_engine",
    "check_embedding_step_engine",
    "check_guard",
    "check_model_source",
    "check_plugin",
    "check_reader",
    "check_reranker",
    "check_retriever",
    "check_scheduler",
    "check_step_engine",
    "check_text_engine",
    "read_dialect",
]
