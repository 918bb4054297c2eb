"""What does not fit together, told before llama.cpp sees it: files, adapters, draft models, quantised KV caches."""

from pathlib import Path

from lmx_gguf.settings import BLOCK, Settings
from lmx_gguf.tokenizer import GgufTokenizer
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from lmx_hookspecs.gguf import DamagedGguf, GgufHeader, read_gguf_header

NO_VOCABULARY = ("none", "no_vocab")
"""What `tokenizer.ggml.model` says of it; llama.cpp aborts the process once such a file is to read a text."""


def checked_header(info: ModelInfo) -> GgufHeader:
    """The header of the model's file; raises EngineFailed with what is wrong with it."""
    if info.path is None or not info.path.is_file():
        raise EngineFailed(f"{info.id} has no file on disk; check models.directories")
    try:
        header = read_gguf_header(info.path)
    except (OSError, DamagedGguf) as error:
        raise EngineFailed(f"{info.path.name} cannot be loaded: {error}; download it again") from error
    if header.values.get("tokenizer.ggml.model") in NO_VOCABULARY:
        raise EngineFailed(f"{info.path.name} has no vocabulary, so that it reads no text; take a file that has one")
    return header


def check_kv_bits(header: GgufHeader, settings: Settings) -> None:
    """Raises UnsupportedParameter where the keys and values of this model cannot be quantised in blocks."""
    heads = header.number("attention.head_count")
    own = header.number("embedding_length") // heads if heads else 0
    lengths = {header.number("attention.key_length", own), header.number("attention.value_length", own)}
    if settings.kv_bits is not None and any(length % BLOCK for length in lengths):
        raise UnsupportedParameter(
            f"this model has keys and values of {' and '.join(map(str, sorted(lengths)))} numbers, which llama.cpp's "
            f"blocks of {BLOCK} do not divide; leave kv_bits out",
            param="kv_bits",
        )


def adapter_file(path: Path) -> Path:
    """The adapter itself, or the one in a folder; raises EngineFailed where it is none for llama.cpp."""
    files = sorted(path.glob("*.gguf")) if path.is_dir() else [path]
    if len(files) != 1:
        raise EngineFailed(
            f"the adapter {path} has {len(files)} GGUF files, and one is needed; llama.cpp's convert_lora_to_gguf.py "
            "makes one of an adapter in safetensors"
        )
    try:
        kind = read_gguf_header(files[0]).values.get("general.type")
    except (OSError, DamagedGguf) as error:
        raise EngineFailed(f"the adapter {files[0].name} cannot be read: {error}") from error
    if kind != "adapter":
        raise EngineFailed(f"{files[0].name} is no adapter (its general.type is {kind!r}); mend models.settings")
    return files[0]


def check_vocabulary(target: GgufTokenizer, draft: GgufTokenizer, name: str) -> None:
    """Raises EngineFailed where the ids of the draft model mean something else."""
    same = target.vocab_size == draft.vocab_size and all(
        target.token_bytes(token) == draft.token_bytes(token) for token in range(target.vocab_size)
    )
    if not same:
        raise EngineFailed(
            f"the draft model {name} has another vocabulary, so that its ids mean other texts; name a draft_model of "
            "the same family, or leave it out"
        )
