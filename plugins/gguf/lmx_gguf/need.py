"""What a model will take once it is loaded, from its header; called in the kernel, so llama.cpp is not imported."""

from lmx_gguf.settings import BLOCK, Settings
from lmx_hookspecs import MemoryNeed, ModelInfo
from lmx_hookspecs.gguf import DamagedGguf, GgufHeader, read_gguf_header


def memory_need(model: ModelInfo) -> MemoryNeed:
    """Weights as they lie in the file, which is mapped, and the KV cache of a token; llama.cpp takes it all at once."""
    settings, weight_bytes = Settings.of(model.settings), model.size_bytes
    if model.path is None:
        return MemoryNeed(weight_bytes=weight_bytes)
    try:
        header = read_gguf_header(model.path)
    except (OSError, DamagedGguf):  # loading it fails with its own message
        return MemoryNeed(weight_bytes=weight_bytes)
    per_token = 0 if header.pools else kv_bytes_per_token(header, settings.block_bytes)
    return MemoryNeed(weight_bytes=weight_bytes, kv_bytes_per_token=per_token, kv_is_measured=True)


def kv_bytes_per_token(header: GgufHeader, block_bytes: int) -> int:
    """Of all layers, where 32 numbers take `block_bytes`; 0 where the header does not tell.

    An upper bound for models whose layers differ: windows count as full. States do not grow and count nothing.
    """
    layers, heads = header.number("block_count"), header.number("attention.head_count")
    own = header.number("embedding_length") // heads if heads else 0
    length = header.number("attention.key_length", own) + header.number("attention.value_length", own)
    kv_heads = header.numbers("attention.head_count_kv", layers)
    if not any(kv_heads) and f"{header.architecture}.attention.head_count_kv" not in header.values:
        kv_heads = [heads] * layers
    return sum(kv_heads) * length * block_bytes // BLOCK
