"""A token-level engine must add, step, finish and cancel rows as its protocol says."""

import math
from collections.abc import Sequence

from attrs import evolve

from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.engines import StepEngine, TokenPiece, TokenRequest, TrimmableEngine
from lmx_hookspecs.generation import Sampling
from lmx_hookspecs.testing.engine import check_description
from lmx_hookspecs.testing.expectation import expect

STEP_LIMIT = 10_000
ROW, OTHER_ROW, UNKNOWN_ROW = 1, 2, 3


def check_step_engine(engine: StepEngine) -> None:
    """Feed rows to a loaded token-level engine: alone, cut short, side by side, cancelled; the caller closes it."""
    description = engine.describe()
    check_description(description, description.capabilities)
    prompt = _check_tokenizer(engine)
    first = _check_row(engine, TokenRequest(tokens=prompt, max_tokens=4, sampling=Sampling(temperature=0)))
    if isinstance(engine, TrimmableEngine):
        engine.trim()
    again = _check_row(engine, TokenRequest(tokens=prompt, max_tokens=4, sampling=Sampling(temperature=0)))
    expect(first == again, f"greedy decoding gave {first}, then {again}")
    if Capability.LOGPROBS in description.capabilities:
        _check_row(engine, TokenRequest(tokens=prompt, max_tokens=2, sampling=Sampling(), logprobs=3))
    if description.max_rows > 1:
        _check_two_rows(engine, prompt)
    _check_cancel(engine, prompt)


def _check_tokenizer(engine: StepEngine) -> list[int]:
    tokenizer = engine.tokenizer
    expect(all(0 <= token < tokenizer.vocab_size for token in tokenizer.eos_token_ids), "eos ids beyond the vocabulary")
    tokens = tokenizer.encode("Hello")
    expect(bool(tokens) and all(0 <= token < tokenizer.vocab_size for token in tokens), f"encode gave {tokens}")
    detokenizer = tokenizer.detokenizer()
    text = "".join(detokenizer.add(token) for token in tokens) + detokenizer.finish()
    expect("Hello" in text and "Hello" in tokenizer.decode(tokens), f"'Hello' came back as {text!r}")
    return tokens


def _check_row(engine: StepEngine, request: TokenRequest) -> list[int]:
    """Run one row to its end and return its tokens."""
    engine.add(ROW, request)
    pieces = _run(engine, {ROW})
    return _check_pieces(engine, request, pieces)


def _check_two_rows(engine: StepEngine, prompt: Sequence[int]) -> None:
    requests = {
        ROW: TokenRequest(tokens=prompt, max_tokens=2, sampling=Sampling()),
        OTHER_ROW: TokenRequest(tokens=[*prompt, *prompt], max_tokens=5, sampling=Sampling()),
    }
    for row, request in requests.items():
        engine.add(row, request)
    pieces = _run(engine, set(requests))
    for row, request in requests.items():
        _check_pieces(engine, request, [piece for piece in pieces if piece.id == row])


def _check_cancel(engine: StepEngine, prompt: Sequence[int]) -> None:
    request = TokenRequest(tokens=prompt, max_tokens=64, sampling=Sampling())
    engine.add(ROW, request)
    engine.step()
    engine.cancel(ROW)
    engine.cancel(UNKNOWN_ROW)
    engine.add(OTHER_ROW, evolve(request, max_tokens=2))
    pieces = _run(engine, {OTHER_ROW})
    expect(all(piece.id == OTHER_ROW for piece in pieces), "a cancelled row still gives pieces")


def _run(engine: StepEngine, rows: set[int]) -> list[TokenPiece]:
    """Step until every row has finished."""
    pieces: list[TokenPiece] = []
    waiting = set(rows)
    for _ in range(STEP_LIMIT):
        news = engine.step()
        pieces.extend(news)
        waiting -= {piece.id for piece in news if piece.finish_reason is not None}
        if not waiting:
            return pieces
    raise AssertionError(f"rows {sorted(waiting)} had not finished after {STEP_LIMIT} steps")


def _check_pieces(engine: StepEngine, request: TokenRequest, pieces: Sequence[TokenPiece]) -> list[int]:
    reasons = [piece.finish_reason for piece in pieces]
    expect(not any(reasons[:-1]), "the row goes on after its finish reason")
    expect(reasons[-1] in ("stop", "length"), f"the row ended with {reasons[-1]}: {pieces[-1].error}")
    expect(pieces[0].cached_tokens <= len(request.tokens), "more prompt tokens cached than there are")
    tokens = [piece.token for piece in pieces if piece.token is not None]
    expect(all(0 <= token < engine.tokenizer.vocab_size for token in tokens), f"tokens beyond the vocabulary: {tokens}")
    expect(len(tokens) <= request.max_tokens, f"{len(tokens)} tokens with max_tokens={request.max_tokens}")
    expect(reasons[-1] == "stop" or len(tokens) == request.max_tokens, f"'length' after {len(tokens)} tokens")
    if request.logprobs is not None:
        for piece in pieces:
            _check_logprobs(piece, request.logprobs)
    return tokens


def _check_logprobs(piece: TokenPiece, count: int) -> None:
    expect(piece.logprob is not None and piece.logprob <= 0, f"the log-probability of a token is {piece.logprob}")
    expect(1 <= len(piece.top) <= count, f"{len(piece.top)} alternatives, {count} were asked for")
    values = [logprob for _, logprob in piece.top]
    expect(values == sorted(values, reverse=True), "alternatives are not in falling order")
    expect(
        all(math.isfinite(value) and value <= 0 for value in values), f"alternatives with log-probabilities {values}"
    )
