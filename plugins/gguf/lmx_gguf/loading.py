"""From a GGUF file to an engine that has run once."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import llama_cpp
from attrs import define, evolve

from lmx_gguf.batch import Batch
from lmx_gguf.capabilities import generation_capabilities
from lmx_gguf.chat_template import ChatTemplates
from lmx_gguf.config import GgufConfig
from lmx_gguf.drafting import DraftModel, PromptLookup
from lmx_gguf.embedding import GgufEmbedder
from lmx_gguf.engine import GgufEngine
from lmx_gguf.fitness import adapter_file, check_kv_bits, check_vocabulary, checked_header
from lmx_gguf.kv_budget import KvBudget, cells_for
from lmx_gguf.library import LibraryLog
from lmx_gguf.llama_context import LlamaContext, Shape
from lmx_gguf.memory import Memory
from lmx_gguf.model import Model
from lmx_gguf.need import kv_bytes_per_token
from lmx_gguf.places import Places
from lmx_gguf.prefix_cache import PrefixCache
from lmx_gguf.schedule import Pace
from lmx_gguf.sequences import Sequences
from lmx_gguf.settings import Settings
from lmx_gguf.speculation import MOST_ROWS, Drafter, Speculation
from lmx_gguf.threads import default_threads
from lmx_gguf.tokenizer import GgufTokenizer, special_texts
from lmx_hookspecs import ModelInfo, WorkerContext
from lmx_hookspecs.errors import Unavailable, UnsupportedParameter
from lmx_hookspecs.gguf import GgufHeader
from lmx_hookspecs.limits import Limits

PROBE_TOKENS = 32
SHORTEST_KEPT, LONGEST_OF_SHORT, WORTH_S = 64, 512, 0.1
EMBEDDED_TOGETHER = 64
"""Inputs in one batch."""
LONGEST_INPUT = 8192
"""Tokens of an input to embed, unless `context_length` says otherwise: computing it in one piece takes memory."""
NO_POOLING, RANK = 0, 4


def load_engine(ctx: WorkerContext, info: ModelInfo) -> Any:
    """Load and warm up; raises an LmxError that says what is wrong with the model's file or settings."""
    settings = Settings.of(info.settings)
    settings.check()
    header = checked_header(info)
    with ExitStack() as opened:
        loader = Loader(ctx.config or GgufConfig(), settings, info, header, ctx.log, opened)
        engine = loader.engine()
        opened.pop_all()
    return engine


@define(eq=False)
class Loader:
    """Opens what an engine is made of, one on top of the other."""

    config: GgufConfig
    settings: Settings
    info: ModelInfo
    header: GgufHeader
    log: Any
    opened: ExitStack

    def engine(self) -> Any:
        """An engine for what the model can do."""
        library = LibraryLog(self.log)
        self.opened.callback(library.close)
        library.open()
        model = self._model(Path(str(self.info.path)), library)
        if self.header.pools:
            return self._embedding(model, library)
        if not model.generates:
            raise Unavailable(
                f"{model.path.name}: models of the architecture {self.header.architecture!r} neither generate one "
                "token after the other nor make embeddings here",
                code="no_engine",
            )
        return self._generating(model, library)

    def _model(self, path: Path, library: LibraryLog) -> Model:
        offload = bool(llama_cpp.llama_supports_gpu_offload())
        model = Model.load(path, library, gpu_layers=self.settings.gpu_layers if offload else 0)
        self.opened.callback(model.close)
        return model

    def _embedding(self, model: Model, library: LibraryLog) -> GgufEmbedder:
        if self.header.number("pooling_type") == RANK:
            raise Unavailable(
                f"{model.path.name} scores documents (pooling rank), which is not done here", code="no_engine"
            )
        context_length = min(self._context_length(model), self.settings.context_length or LONGEST_INPUT)
        batch_tokens = max(context_length, min(self.config.batch_tokens, context_length * EMBEDDED_TOGETHER))
        shape = Shape(
            cells=max(batch_tokens, EMBEDDED_TOGETHER),
            sequences=EMBEDDED_TOGETHER,
            batch_tokens=max(batch_tokens, EMBEDDED_TOGETHER),
            outputs=0,
            threads=self._threads,
            pooling=True,
        )
        context = self._context(model, shape, library)
        if context.pooling_type == NO_POOLING:
            raise Unavailable(f"{model.path.name} does not say how it makes one vector of a text", code="no_engine")
        tokenizer = tokenizer_of(model)
        facts = {**self._facts(model), "dimensions": model.embedding_length, "matryoshka": False}
        return GgufEmbedder(
            tokenizer=tokenizer,
            context=context,
            limits=Limits(context_length, tokenizer.vocab_size),
            memory=Memory(),
            log=self.log,
            facts=facts,
            release=self.opened.pop_all().close,
        )

    def _context(self, model: Model, shape: Shape, library: LibraryLog) -> LlamaContext:
        context = LlamaContext(model, shape, library)
        self.opened.callback(context.close)
        return context

    def _context_length(self, model: Model) -> int:
        return min(model.context_length, self.settings.context_length or model.context_length)

    @property
    def _threads(self) -> int:
        return self.config.threads or default_threads()

    def _generating(self, model: Model, library: LibraryLog) -> GgufEngine:
        context_length = self._context_length(model)
        budget_cells = cells_for(
            self.settings.kv_budget_gb,
            bytes_per_token=self._bytes_per_token,
            context_length=context_length,
            rows=self.settings.rows,
        )
        check_kv_bits(self.header, self.settings)
        context = self._context(model, self._shape(budget_cells), library)
        if self.info.adapter is not None:
            context.use_adapter(adapter_file(self.info.adapter))
        tokenizer = tokenizer_of(model)
        keeps, speed = self._kept_rows > 0, measured_speed(context)
        return GgufEngine(
            tokenizer=tokenizer,
            context=context,
            places=self._places(model, context, context_length, speed),
            limits=Limits(context_length, tokenizer.vocab_size),
            pace=self._pace(speed),
            max_rows=self.settings.rows,
            speculation=self._speculation(model, context, tokenizer, library),
            memory=Memory(),
            log=self.log,
            capabilities=generation_capabilities(
                chat=tokenizer.has_chat_template, batching=self.settings.rows > 1, prefix_cache=keeps
            ),
            facts=self._facts(model),
            release=self.opened.pop_all().close,
        )

    def _speculation(
        self, model: Model, context: LlamaContext, tokenizer: GgufTokenizer, library: LibraryLog
    ) -> Speculation:
        if self.info.draft is None and not self.settings.prompt_lookup:
            return Speculation()
        if model.keeps_states:
            raise UnsupportedParameter(
                f"{self.info.id} has recurrent states, which cannot go back to before a wrong guess; leave draft_model "
                "and prompt_lookup out",
                param="draft_model" if self.info.draft else "prompt_lookup",
            )
        drafter: Drafter = PromptLookup()
        if self.info.draft is not None:
            draft = self._model(self.info.draft, library)
            check_vocabulary(tokenizer, tokenizer_of(draft), self.info.draft.name)
            drafter = DraftModel(self._context(draft, evolve(context.shape, cells=context.cells), library))
        return Speculation(drafter, self.settings.num_draft_tokens)

    @property
    def _bytes_per_token(self) -> int:
        return kv_bytes_per_token(self.header, self.settings.block_bytes)

    @property
    def _kept_rows(self) -> int:
        wanted = self.config.prefix_cache_rows if self.config.prefix_cache_bytes else 0
        most = int(llama_cpp.llama_max_parallel_sequences()) - self.settings.rows
        return min(wanted, most) if self.settings.prefix_cache_enabled else 0

    def _shape(self, cells: int) -> Shape:
        rows = self.settings.rows
        sequences = rows + self._kept_rows
        # llama.cpp aborts where it has fewer outputs, or computes fewer tokens at once, than it has sequences.
        outputs = max(sequences, rows + MOST_ROWS * self.settings.num_draft_tokens)
        return Shape(
            cells=cells,
            sequences=sequences,
            batch_tokens=max(self.config.batch_tokens, outputs),
            outputs=outputs,
            threads=self._threads,
            kv_bits=self.settings.kv_bits,
            whole_windows=self._kept_rows > 0,
        )

    def _places(self, model: Model, context: LlamaContext, context_length: int, speed: float) -> Places:
        budget = KvBudget(cells=context.cells, bytes_per_token=self._bytes_per_token, context_length=context_length)
        return Places(
            sequences=Sequences(context),
            prefixes=PrefixCache(
                most_entries=self._kept_rows,
                can_cut=not model.keeps_states,
                shortest_kept=self.config.prefix_cache_min_tokens or worth_keeping(speed),
            ),
            budget=budget,
            most_kept=min(budget.cells_in(self.config.prefix_cache_bytes), budget.cells // 2),
        )

    def _pace(self, speed: float) -> Pace:
        return Pace(
            budget_s=self.config.prefill_budget_ms / 1000,
            idle_budget_s=self.config.idle_prefill_budget_ms / 1000,
            tokens_per_s=speed,
        )

    def _facts(self, model: Model) -> dict[str, Any]:
        return {
            "architecture": self.header.architecture,
            "description": model.description(),
            "weight_bytes": model.size_bytes,
            "gpu_layers": self.settings.gpu_layers if llama_cpp.llama_supports_gpu_offload() else 0,
            "threads": self._threads,
            "kv_cache": {"bytes_per_token": self._bytes_per_token, "bits": self.settings.kv_bits},
        }


def tokenizer_of(model: Model) -> GgufTokenizer:
    """The model's own, with its chat templates."""
    templates = ChatTemplates(
        default=model.chat_template(),
        with_tools=model.chat_template("tool_use"),
        special_tokens=special_texts(model.vocabulary),
    )
    return GgufTokenizer(model.vocabulary, templates)


def worth_keeping(speed: float) -> int:
    """Tokens that take so long to compute that keeping them pays, although all later steps pass over their cells."""
    return int(min(LONGEST_OF_SHORT, max(SHORTEST_KEPT, speed * WORTH_S)))


def measured_speed(context: LlamaContext) -> float:
    """Prompt tokens per second of a short prompt, once llama.cpp is warm; the context is empty before and after."""
    batch = Batch(PROBE_TOKENS)
    count = min(PROBE_TOKENS, context.shape.batch_tokens)
    elapsed_s = 1.0
    for _ in range(2):
        batch.clear()
        batch.add(0, [0] * count, 0, 1)
        began = time.perf_counter()
        context.decode(batch)
        context.logits(1)
        elapsed_s = time.perf_counter() - began
        context.clear()
    return count / elapsed_s
