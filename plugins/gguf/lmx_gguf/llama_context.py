"""A llama.cpp context: the KV cache of a model and the one call that computes."""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from attrs import define, field, frozen

from lmx_gguf.batch import Batch
from lmx_gguf.library import LibraryLog
from lmx_gguf.model import Model
from lmx_hookspecs.errors import EngineFailed

CACHE_TYPES = {None: 1, 8: 8, 4: 2}
"""By `kv_bits`: ggml's f16, q8_0 and q4_0."""
FLASH_AUTO, FLASH_OFF, FLASH_ON = -1, 0, 1
UBATCH_TOKENS = 512
"""What llama.cpp computes at once: larger ones cost memory and gain nothing."""
FAILURES = {
    1: "the KV cache has no room for the batch",
    2: "the computation was aborted",
    -1: "llama.cpp refuses the batch",
    -2: "llama.cpp could not allocate memory for the batch",
    -3: "the computation failed",
}


class DecodeError(RuntimeError):
    """llama.cpp did not compute a batch; what it has of its sequences is unknown."""


@frozen(kw_only=True)
class Shape:
    """What a context is made for."""

    cells: int
    sequences: int
    batch_tokens: int
    outputs: int
    """Logits of one step at most."""
    threads: int
    kv_bits: int | None = None
    whole_windows: bool = True
    """Sliding windows keep all tokens, so that sequences can be cut back and shared."""
    pooling: bool = False
    """For embeddings: vectors in place of logits, each input in one piece."""


@define(eq=False)
class LlamaContext:
    """Owns the pointer; every call comes from one thread."""

    model: Model
    shape: Shape
    _log: LibraryLog
    _pointer: Any = field(init=False)
    _memory: Any = field(init=False)
    _width: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log.complaints()
        self._pointer = llama_cpp.llama_init_from_model(self.model.pointer, _parameters(self.shape))
        if not self._pointer:
            reason = self._log.complaints() or "llama.cpp gives no reason"
            raise EngineFailed(f"{self.model.path.name}: no context could be made: {reason}; see the model's settings")
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._width = int(llama_cpp.llama_vocab_n_tokens(self.model.vocabulary))

    @property
    def cells(self) -> int:
        """Cells of the KV cache, as many as were asked for or a few more."""
        return int(llama_cpp.llama_n_ctx(self._pointer))

    @property
    def pooling_type(self) -> int:
        """How the vectors of an input's tokens become one; 0 where they do not."""
        return int(llama_cpp.llama_pooling_type(self._pointer))

    def use_adapter(self, path: Path) -> None:
        """Compute with a LoRA adapter from now on; raises EngineFailed."""
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(self.model.adapter(path))
        if llama_cpp.llama_set_adapters_lora(self._pointer, adapters, 1, (ctypes.c_float * 1)(1.0)):
            raise EngineFailed(f"the adapter {path.name} could not be used: {self._log.complaints()}")

    def decode(self, batch: Batch) -> None:
        """Compute a batch; raises DecodeError."""
        status = int(llama_cpp.llama_decode(self._pointer, batch.structure))
        if status:
            reason = FAILURES.get(status, f"llama.cpp answers {status}")
            raise DecodeError(f"{reason}: {self._log.complaints()}".rstrip(": "))

    def logits(self, outputs: int) -> Any:
        """Of the last batch: (outputs, vocabulary), valid until the next one."""
        pointer = llama_cpp.llama_get_logits(self._pointer)
        if not pointer:
            raise DecodeError("llama.cpp has no logits for the batch")
        return np.ctypeslib.as_array(pointer, (outputs, self._width))

    def vector(self, sequence: int) -> Any:
        """The pooled vector of a sequence of the last batch: a copy."""
        pointer = llama_cpp.llama_get_embeddings_seq(self._pointer, sequence)
        if not pointer:
            raise DecodeError("llama.cpp has no vector for the input")
        return np.array(np.ctypeslib.as_array(pointer, (self.model.embedding_length,)), dtype=np.float64)

    def copy(self, source: int, target: int, length: int) -> None:
        """`target` shares the first tokens of `source`; with recurrent states, all of them."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int) -> bool:
        """Keep the first tokens of a sequence; whether that was possible."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self) -> None:
        """Forget all sequences."""
        if self._memory:  # encoders have none
            llama_cpp.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        """Give its memory back."""
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None


def _parameters(shape: Shape) -> Any:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = shape.cells
    parameters.n_batch = shape.batch_tokens
    parameters.n_ubatch = shape.batch_tokens if shape.pooling else min(UBATCH_TOKENS, shape.batch_tokens)
    parameters.n_seq_max = shape.sequences
    parameters.n_outputs_max = 0 if shape.pooling else min(parameters.n_ubatch, shape.outputs)
    parameters.n_threads = parameters.n_threads_batch = shape.threads
    parameters.type_k = parameters.type_v = CACHE_TYPES[shape.kv_bits]
    parameters.flash_attn_type = _flash_attention(shape)
    parameters.embeddings = shape.pooling
    parameters.swa_full = shape.whole_windows
    parameters.kv_unified = True
    parameters.no_perf = True
    return parameters


def _flash_attention(shape: Shape) -> int:
    """Quantised values need it; on the CPU matrix products are faster in all batches but large ones.

    20 tokens after a prefix of 2,000 took 120 ms of a core with it, 11 to 33 without.
    """
    if shape.kv_bits:
        return FLASH_ON
    return FLASH_AUTO if llama_cpp.llama_supports_gpu_offload() else FLASH_OFF
