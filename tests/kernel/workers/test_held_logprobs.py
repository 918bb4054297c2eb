"""Which tokens have their log-probability told: those of the text, wherever a reader has found it."""

from typing import Any

from lmx.workers.logprobs import HeldLogprobs, Vocabulary
from lmx_hookspecs import TokenPiece

TOKENS = ["</think>", "\n\nHello", " world", "<tool_call>"]


class Words:
    def token_bytes(self, token: int) -> bytes:
        return TOKENS[token].encode()


def test_a_token_that_begins_in_the_white_space_before_the_text_is_one_of_the_text() -> None:
    tokenizer: Any = Words()
    held = HeldLogprobs(Vocabulary(tokenizer), 0, True)
    raw = "".join(TOKENS)
    for token in range(len(TOKENS)):
        held.add(TokenPiece(id=0, token=token, logprob=-0.5), len("".join(TOKENS[:token])))

    begin = raw.index("Hello")
    end = raw.index("<tool_call>")
    held.place((begin, end), end, 0, end - begin)

    assert [entry["token"] for entry in held.take(end - begin)] == ["\n\nHello", " world"]
    assert held.take_all() == []
