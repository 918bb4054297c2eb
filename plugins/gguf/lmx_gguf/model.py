"""A model that llama.cpp has loaded: its weights, its metadata and its vocabulary."""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp
from attrs import define, field

from lmx_gguf.library import LibraryLog
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable

LONGEST_VALUE_BYTES = 4096
UNKNOWN_ARCHITECTURE = "unknown model architecture"


@define(eq=False)
class Model:
    """Owns the pointer; `close` it after every context that was made of it."""

    path: Path
    _log: LibraryLog
    _pointer: Any = field(init=False)

    @classmethod
    def load(cls, path: Path, log: LibraryLog, *, gpu_layers: int) -> "Model":
        """From the file, or the first of its parts; raises an LmxError that says what llama.cpp has against it."""
        model = cls(path, log)
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        log.complaints()
        model._pointer = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not model._pointer:
            raise load_error(path, log.complaints())
        return model

    @property
    def pointer(self) -> Any:
        """For llama.cpp."""
        return self._pointer

    @property
    def vocabulary(self) -> Any:
        """The pointer to its vocabulary."""
        return llama_cpp.llama_model_get_vocab(self._pointer)

    @property
    def context_length(self) -> int:
        """Tokens that it was trained for."""
        return int(llama_cpp.llama_model_n_ctx_train(self._pointer))

    @property
    def size_bytes(self) -> int:
        """Of all its tensors."""
        return int(llama_cpp.llama_model_size(self._pointer))

    @property
    def embedding_length(self) -> int:
        """Numbers of a vector that it gives."""
        return int(llama_cpp.llama_model_n_embd_out(self._pointer))

    @property
    def keeps_states(self) -> bool:
        """Whether it has recurrent states, which cannot be cut back to an earlier token."""
        pointer = self._pointer
        return bool(llama_cpp.llama_model_is_recurrent(pointer) or llama_cpp.llama_model_is_hybrid(pointer))

    @property
    def generates(self) -> bool:
        """Whether it predicts tokens, one after the other."""
        pointer = self._pointer
        decodes = llama_cpp.llama_model_has_decoder(pointer) and not llama_cpp.llama_model_has_encoder(pointer)
        return bool(decodes and not llama_cpp.llama_model_is_diffusion(pointer))

    def description(self) -> str:
        """Such as `llama 8B Q4_K - Medium`."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._pointer, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def text(self, key: str) -> str | None:
        """A value of its metadata as text, or None."""
        buffer = ctypes.create_string_buffer(LONGEST_VALUE_BYTES)
        length = llama_cpp.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.value.decode("utf-8", "replace")

    def chat_template(self, name: str | None = None) -> str | None:
        """Its chat template, or the one of that name."""
        found = llama_cpp.llama_model_chat_template(self._pointer, None if name is None else name.encode())
        return None if found is None else found.decode("utf-8", "replace")

    def adapter(self, path: Path) -> Any:
        """A LoRA adapter for it, freed with the model; raises EngineFailed."""
        self._log.complaints()
        adapter = llama_cpp.llama_adapter_lora_init(self._pointer, str(path).encode())
        if not adapter:
            raise EngineFailed(
                f"the adapter {path.name} does not fit {self.path.name}: "
                f"{self._log.complaints() or 'llama.cpp gives no reason'}"
            )
        return adapter

    def close(self) -> None:
        """Give its memory back."""
        if self._pointer:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None


def load_error(path: Path, complaints: str) -> LmxError:
    """What llama.cpp says of a file, in our terms."""
    if UNKNOWN_ARCHITECTURE in complaints:
        return Unavailable(
            f"{path.name}: this llama.cpp does not know the architecture: {complaints}; a newer llama-cpp-python may",
            code="no_engine",
        )
    reason = complaints or "llama.cpp gives no reason"
    return EngineFailed(f"{path.name} cannot be loaded: {reason}; check the file, or download it again")
