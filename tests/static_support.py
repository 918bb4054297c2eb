"""A model of seven tokens and three dimensions."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lmx_hookspecs import ModelInfo

WORDS = ("[UNK]", "one", "two", "three", "four", "##s", "zero")
EMBEDDINGS = [[0, 0, 127], [127, 0, 0], [0, 127, 0], [127, 127, 0], [0, -127, 0], [0, 0, 1], [0, 0, 0]]
SCALES = [1e-8, 0.01, 0.02, 0.01, 0.02, 0.5, 0.01]


def write_tensors(path: Path, **tensors: Any) -> None:
    """A safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"made": "by hand"}}
    data = b""
    for name, values in tensors.items():
        kind = {"int8": "I8", "float32": "F32"}.get(values.dtype.name, values.dtype.name)
        header[name] = {"dtype": kind, "shape": [*values.shape], "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_model(folder: Path, **config: Any) -> ModelInfo:
    """The model, with these entries in its config.json."""
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: place for place, word in enumerate(WORDS)},
        },
    }
    facts = {"max_sequence_length": 8, "matryoshka": True, **config}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps(facts))
    write_tensors(
        folder / "model.safetensors",
        embeddings=np.array(EMBEDDINGS, dtype=np.int8),
        scales=np.array(SCALES, dtype=np.float32),
    )
    return ModelInfo(id="small", format="static-embedding", path=folder)
