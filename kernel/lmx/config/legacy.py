"""What became of each key of an Opta-LMX configuration."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

Key = tuple[str, ...]

LATER = "comes with a later version"


@frozen
class Fate:
    """Where a key goes: `to` is its new place, or None where it is dropped for `reason`."""

    to: Key | None
    reason: str = ""
    as_list: bool = False
    """The new key takes a list; the old one held a single value."""


def _kept(section: str, *names: str) -> dict[Key, Fate]:
    return {(section, name): Fate((section, name)) for name in names}


def _dropped(section: str, reason: str, *names: str) -> dict[Key, Fate]:
    return {(section, name): Fate(None, reason) for name in names}


KEYS: Mapping[Key, Fate] = {
    **_kept("server", "host", "port", "workers", "timeout_sec", "sse_heartbeat_interval_sec"),
    **_kept("server", "websocket_enabled"),
    **_dropped("server", LATER, "sse_events_enabled"),
    **_kept("models", "default_model", "auto_load", "use_batching", "max_concurrent_requests"),
    **_kept("models", "inference_timeout_sec", "warmup_on_load", "prefix_cache_enabled", "metal_cache_limit_gb"),
    **_kept("models", "scheduler_prefill_batch_size", "scheduler_completion_batch_size"),
    ("models", "models_directory"): Fate(("models", "directories"), "a list now", as_list=True),
    ("models", "semaphore_timeout_sec"): Fate(("plugins", "priority", "max_wait_s"), "a key of the scheduler now"),
    **_kept("models", "kv_bits", "kv_group_size"),
    **_dropped("models", LATER, "gguf_context_length", "gguf_gpu_layers"),
    **_dropped("models", LATER, "embedding_model"),
    **_dropped("models", "a setting of each model now", "speculative_model", "speculative_num_tokens"),
    **_dropped("models", "each engine step is sent as it comes", "stream_interval"),
    **_dropped("models", "models.max_concurrent_requests bounds this now", "scheduler_max_num_seqs"),
    **_dropped("models", "prefix caches are bounded in bytes now", "scheduler_cache_memory_percent"),
    **_kept("memory", "max_memory_percent", "auto_evict_lru"),
    **_kept("memory", "ttl_enabled", "ttl_seconds", "ttl_check_interval_sec"),
    **_kept("logging", "level", "format", "file", "max_file_bytes", "backup_count"),
    **_kept("routing", "aliases", "default_model"),
    **_kept("presets", "directory", "enabled"),
    **_kept("helper_nodes", "embedding", "reranking"),
    **_kept("rag", "enabled", "default_chunk_size", "default_chunk_overlap", "max_documents_per_ingest"),
    **_kept("rag", "auto_persist", "rrf_k", "rrf_vector_weight", "rrf_keyword_weight", "embedding_model"),
    **_kept("rag", "embedding_dimensions", "reranker_model", "rerank_enabled", "rerank_initial_k"),
    **_kept("rag", "rerank_final_k", "chunking_strategy"),
    **_dropped("rag", "named a JSON file; names a folder of the store's own now", "persist_path"),
    **_kept("security", "admin_key"),
}
STACKS = "stack_presets"
BACKENDS = "backends"
FREE_SECTIONS = (STACKS, BACKENDS)
"""Sections whose keys are names that somebody chose."""
PRESETS_DIRECTORY: Key = ("presets", "directory")
PRESETS_FOLDER = "~/.opta-lmx/presets"
RAG_STORE = "~/.opta-lmx/rag-store.json"
TO_IMPORT = "to-import"
"""In the store's folder: stores of the earlier system that the server takes in when it starts."""


def fate_of_name(key: Key) -> Fate:
    """What becomes of an entry, or of a bare section, of FREE_SECTIONS."""
    if key[0] == BACKENDS:
        return Fate(key, "only shown by the earlier system; takes traffic now")
    return Fate(key, "only shown by the earlier system; can be activated now")


def setting(old: Mapping[str, Any], section: str, name: str) -> Any:
    """A value of the old configuration, or None."""
    body = old.get(section)
    return body.get(name) if isinstance(body, dict) else None
