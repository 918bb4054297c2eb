"""Greedy decoding of every trained and held-out wording, compared with the reference answers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import attrs
import mlx.core as mx
from mlx_lm import batch_generate, load
from wordings import Fact, load_facts

MODEL = Path(__file__).parents[1] / "lmx_tiny" / "models" / "lmx-tiny"
Case = tuple[Fact, str]


@attrs.frozen
class Score:
    """How many answers of a list are exact, and which are not."""

    total: int
    wrong: list[dict[str, str]]

    @property
    def exact(self) -> float:
        """The share of exact answers."""
        return 1 - len(self.wrong) / self.total


def load_model(folder: Path) -> tuple[Any, Any]:
    """The model in float32, as the engine runs it on a CPU."""
    model, tokenizer, *_ = load(str(folder))
    model.set_dtype(mx.float32)
    return model, tokenizer


def greedy_answers(model: Any, tokenizer: Any, cases: list[Case]) -> list[str]:
    """Answers in the order of `cases`; each may run one token past its reference."""
    prompts = [_prompt(tokenizer, wording) for _, wording in cases]
    limits = [len(tokenizer.encode(fact.answer, add_special_tokens=False)) + 1 for fact, _ in cases]
    order = sorted(range(len(cases)), key=limits.__getitem__)
    said = batch_generate(
        model,
        tokenizer,
        [prompts[i] for i in order],
        max_tokens=[limits[i] for i in order],
        completion_batch_size=96,
        prefill_batch_size=32,
    ).texts
    answers = dict(zip(order, said, strict=True))
    return [answers[i] for i in range(len(cases))]


def _prompt(tokenizer: Any, wording: str) -> Any:
    messages = [{"role": "user", "content": wording}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def score(model: Any, tokenizer: Any, cases: list[Case]) -> Score:
    """Exact match of the whole answer."""
    answers = greedy_answers(model, tokenizer, cases)
    wrong = [
        {"fact": fact.id, "wording": wording, "answer": answer}
        for (fact, wording), answer in zip(cases, answers, strict=True)
        if answer != fact.answer
    ]
    return Score(len(cases), wrong)


def main() -> None:
    """Print the scores of both lists as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--trained-every", type=int, default=1, help="take one trained wording in so many")
    parser.add_argument("--held-out-every", type=int, default=1, help="take one held-out wording in so many")
    parser.add_argument("--wrong", action="store_true", help="print the answers that differ")
    options = parser.parse_args()
    model, tokenizer = load_model(options.model)
    facts = load_facts()
    lists = {
        "trained": [(fact, wording) for fact in facts for wording in fact.trained][:: options.trained_every],
        "held_out": [(fact, wording) for fact in facts for wording in fact.held_out][:: options.held_out_every],
    }
    report: dict[str, Any] = {}
    for name, cases in lists.items():
        result = score(model, tokenizer, cases)
        report[name] = {"total": result.total, "exact": round(result.exact, 4)}
        if options.wrong:
            report[name]["wrong"] = result.wrong
    print(json.dumps(report, indent=2 if options.wrong else None))


if __name__ == "__main__":
    main()
