"""Rerankers for tests: tiny models with random weights, and an API on a real socket."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import define, field

WORDS = ("the", "a", "cat", "dog", "sat", "on", "mat", "river", "bank", "money", "tree", "is", "in", "where", "red")
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]")
LONGEST = 64
QUERY = "where is the cat"
DOCUMENTS = ("the cat sat on the mat", "money in the bank", "the tree", "red", "a dog in the river")


@define(eq=False)
class RerankApi:
    """An API that scores by the words in common, until it is told to answer something else."""

    url: str = ""
    status: int = 200
    answer: Any = None
    """Instead of the scores."""
    results: str = "results"
    documents: str = "documents"
    score: str = "relevance_score"
    headers: dict[str, str] = field(factory=dict)
    """Of its answers."""
    usage: Mapping[str, Any] | None = field(factory=lambda: {"total_tokens": 21})
    asked: list[tuple[str, Mapping[str, str], Mapping[str, Any]]] = field(factory=list)
    """Path, headers in lower case, body."""
    hold: threading.Event | None = None
    """Waited for before each answer."""

    def reply(self, body: Mapping[str, Any]) -> Any:
        if self.answer is not None:
            return self.answer
        words = set(body["query"].split())
        scores = [len(words & set(text.split())) / len(words) for text in body[self.documents]]
        entries = [{"index": place, self.score: score} for place, score in enumerate(scores)]
        best_first = sorted(entries, key=lambda entry: -entry[self.score])
        return {self.results: best_first, "usage": self.usage} if self.results else best_first


@contextmanager
def rerank_api() -> Iterator[RerankApi]:
    """On a free port of 127.0.0.1."""
    made = RerankApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # header and body in one packet: two would wait for each other

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if made.hold is not None:
                made.hold.wait(20)
            raw = made.answer if isinstance(made.answer, bytes) else json.dumps(made.reply(body)).encode()
            self.send_response(made.status)
            for name, value in {**made.headers, "content-length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/v1/rerank"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        if made.hold is not None:
            made.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def write_cross_encoder(folder: Path, labels: int = 1) -> Path:
    """A BERT of two layers with a head, which has learnt nothing; needs torch and transformers."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(1)
    model = BertForSequenceClassification(_bert(num_labels=labels))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(8)  # so that what is read makes a difference
    model.save_pretrained(folder)
    _write_tokenizer(folder)
    return folder


def write_colbert(folder: Path, dimensions: int = 24) -> Path:
    """A BERT with a projection, in the layout of ColBERT's checkpoints; needs torch and transformers."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertModel

    torch.manual_seed(1)
    bert = BertModel(_bert())
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"bert.{name}": value.contiguous() for name, value in bert.state_dict().items()}
    weights["linear.weight"] = torch.randn(dimensions, 32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    bert.config.architectures = ["HF_ColBERT"]
    bert.config.save_pretrained(folder)
    _write_tokenizer(folder)
    return folder


def write_flashrank(folder: Path) -> Path:
    """A graph that adds up the ids of what it reads; needs onnx, and transformers for the tokenizer."""
    from onnx import TensorProto, helper, save

    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 1])
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["read"]),
        helper.make_node("Mul", ["read", "token_type_ids"], ["document"]),
        helper.make_node("Cast", ["document"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["sum", "scale"], ["logits"]),
    ]
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [1], [0.02])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializer=[scale])
    folder.mkdir(parents=True, exist_ok=True)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    save(made, folder / "tiny.onnx")
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0, "model_type": "bert"}))
    _write_tokenizer(folder)
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def standing_order(scores: Sequence[float]) -> list[int]:
    """Places, the best first."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def _bert(**facts: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(MARKS) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LONGEST,
        **facts,
    )


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: place for place, token in enumerate([*MARKS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=LONGEST,
    ).save_pretrained(folder)
