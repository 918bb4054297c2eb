"""Measures lmx-tiny-embed: against its teacher, and at finding the right one of many answers.

    python evaluate_embedder.py            # the shipped model, whole and shortened
    python evaluate_embedder.py --teacher  # also the teacher, in the environment of the distillation

`--teacher` writes down the teacher's similarities, so that the rank correlation can be measured without it.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from wordings import FOLDER, load_facts

from lmx_hookspecs import ModelInfo
from lmx_static.engine import opened

HERE = Path(__file__).parent
MODEL = HERE.parent / "lmx_tiny" / "models" / "lmx-tiny-embed"
SIMILARITIES = HERE / "teacher_similarities.json"
NO_KNOWLEDGE = {"copying", "json", "long", "offtopic", "smalltalk"}
"""Files of facts whose answers do not answer their question with knowledge."""
SHORTENED = (256, 128, 64, 32)

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]


def measure(embed: Embed) -> Mapping[str, float]:
    """Every figure, as a share of 1 or a correlation."""
    triples = read_yaml("sentences.yaml")
    similar = similarities(embed, triples)
    general = retrieval(embed, *zip(*read_yaml("general_questions.yaml"), strict=True))
    facts = retrieval(embed, *fact_questions())
    return {
        "teacher_correlation": rank_correlation(similar, np.array(json.loads(SIMILARITIES.read_text()))),
        "paraphrase_first": float(np.mean(similar[:, 0] > similar[:, 1])),
        **{f"general_{name}": value for name, value in general.items()},
        **{f"facts_{name}": value for name, value in facts.items()},
    }


def read_yaml(name: str) -> Any:
    """A file beside this one."""
    return YAML(typ="safe", pure=True).load(HERE / name)


def similarities(embed: Embed, triples: Sequence[Sequence[str]]) -> Vectors:
    """By triple: sentence and paraphrase, sentence and other, paraphrase and other, sentence and the last one."""
    first, same, other = (embed([triple[place] for triple in triples]) for place in range(3))
    pairs = [(first, same), (first, other), (same, other), (first, np.roll(first, 1, axis=0))]
    return np.stack([np.einsum("ij,ij->i", one, two) for one, two in pairs], axis=1)


def fact_questions() -> tuple[Sequence[str], Sequence[str]]:
    """The held-out wordings of the facts about LMX, and to each its answer."""
    files = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem not in NO_KNOWLEDGE]
    ids = {entry["id"] for path in files for entry in read_yaml(f"{FOLDER.name}/{path.name}")}
    asked = [(question, fact.answer) for fact in load_facts() if fact.id in ids for question in fact.held_out]
    questions, answers = zip(*asked, strict=True)
    return questions, answers


def retrieval(embed: Embed, questions: Sequence[str], answers: Sequence[str]) -> Mapping[str, float]:
    """How often the right answer of all is the most similar one, or among five; and its mean reciprocal rank."""
    distinct = list(dict.fromkeys(answers))
    similar = embed(questions) @ embed(distinct).T
    right = similar[np.arange(len(questions)), [distinct.index(answer) for answer in answers]]
    ranks = 1 + (similar > right[:, None]).sum(axis=1)
    return {"first": float(np.mean(ranks == 1)), "top5": float(np.mean(ranks <= 5)), "mrr": float(np.mean(1 / ranks))}


def rank_correlation(one: Vectors, two: Vectors) -> float:
    """Spearman's."""
    ranks = [values.ravel().argsort().argsort() for values in (one, two)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def shipped(dimensions: int | None = None) -> Embed:
    """The model in the package, through the code that serves it."""
    engine = opened(ModelInfo(id="lmx-tiny-embed", format="static-embedding", path=MODEL))
    return lambda texts: engine.table.embed(engine.reader.read(texts), dimensions)


def teacher() -> Embed:
    """all-MiniLM-L6-v2 itself: the mean over the states of its tokens."""
    import torch
    from distil_embedder import teacher_folder
    from tokenizers import Tokenizer
    from transformers import AutoModel

    model = AutoModel.from_pretrained(teacher_folder()).eval()
    tokenizer = Tokenizer.from_file(str(teacher_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def embed(texts: Sequence[str]) -> Vectors:
        with torch.no_grad():
            states = [model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].mean(0) for text in texts]
        vectors = np.stack([state.numpy() for state in states])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    return embed


def show(name: str, figures: Mapping[str, float]) -> None:
    """One line."""
    print(f"{name:10}", "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))


def main() -> None:
    """Print the figures of the model at several lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", action="store_true", help="measure the teacher, and write down its similarities")
    if parser.parse_args().teacher:
        embed = teacher()
        similar = similarities(embed, read_yaml("sentences.yaml"))
        SIMILARITIES.write_text(json.dumps([[round(float(value), 3) for value in row] for row in similar]) + "\n")
        show("teacher", measure(embed))
    for dimensions in SHORTENED:
        show(str(dimensions), measure(shipped(dimensions)))


if __name__ == "__main__":
    main()
