"""A line that changes with every request, in front of everything: with it the prefix cache helps nobody."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import served

RULES = " ".join(f"Rule {number}: answer shortly." for number in range(40))


def two_turns(folder: Path, prompts: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The same chat twice, but for the checksum in the first line of its instructions."""
    with served(folder, {"prompts": prompts}) as server:
        return [
            httpx.post(
                f"{server.url}/v1/chat/completions",
                json={
                    "model": "lmx-tiny",
                    "messages": [
                        {"role": "system", "content": f"x-anthropic-billing-header: cch={checksum};\n{RULES}"},
                        {"role": "user", "content": "hi"},
                    ],
                    "max_tokens": 2,
                },
                timeout=60,
            ).json()
            for checksum in ("0aaa9", "36ee5")
        ]


def cached(answer: dict[str, Any]) -> int:
    count: int = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return count


def test_the_prefix_cache_hits_once_prompts_are_canonical(tmp_path: Path) -> None:
    _, second = two_turns(tmp_path, {"canonicalise": True})

    assert cached(second) > 0.8 * second["usage"]["prompt_tokens"]
    assert second["warnings"] == [
        "prompts.canonicalise moved 'x-anthropic-billing-header: cch=36ee5;' to the newest message"
    ]


def test_prompts_are_left_as_they_are_by_default(tmp_path: Path) -> None:
    _, second = two_turns(tmp_path, {})

    assert cached(second) < 64
    assert "warnings" not in second


@pytest.mark.parametrize("rule", ["(", "[a"])
def test_a_rule_that_is_no_expression_is_refused_with_its_place(tmp_path: Path, rule: str) -> None:
    with (
        pytest.raises(AssertionError, match="must hold regular expressions"),
        served(tmp_path, {"prompts": {"volatile_lines": [rule]}}),
    ):
        pass
