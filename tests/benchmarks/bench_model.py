"""A model of about four million random float32 weights with a byte-level tokenizer, as a Hugging Face folder."""

import json
import random
import string
from pathlib import Path

VOCABULARY = 4096
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "bos_token_id": 0,
    "eos_token_id": 0,
}
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def make_model(folder: Path, seed: int = 0) -> Path:
    """Write the model; needs `mlx` and `mlx_lm`."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models import llama

    mx.random.seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = llama.Model(llama.ModelArgs.from_dict(CONFIG))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(CONFIG))
    make_tokenizer(folder, seed)
    return folder


def make_tokenizer(folder: Path, seed: int) -> None:
    """A byte-level BPE tokenizer trained on made-up words, with a chat template that only joins contents."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    words = random.Random(seed)
    corpus = [
        " ".join("".join(words.choices(string.ascii_lowercase, k=words.randint(2, 9))) for _ in range(50))
        for _ in range(400)
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "bos_token": "<|endoftext|>",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def make_prompt(folder: Path, length: int, seed: int) -> str:
    """Text of exactly `length` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    letters = random.Random(seed)
    text = ""
    while len(tokenizer.encode(text).ids) < length:
        text += letters.choice(string.ascii_lowercase + "  ")
    return text
