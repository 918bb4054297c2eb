"""From the chunks of an OpenAI-compatible stream to pieces."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from attrs import define, evolve, field

from lmx_hookspecs import GenerationRequest, Piece, TokenLogprob, ToolCallDelta, Usage
from lmx_hookspecs.generation import FinishReason
from lmx_remote.counts import count_of
from lmx_remote.failures import NONSENSE, failed

FINISH_REASONS = frozenset(get_args(FinishReason))
LONGEST_TOKEN_BYTES = 4096
GAVE_UP = frozenset({"abort", "error"})


@define(eq=False)
class AnswerReader:
    """Reads the answer to one request; `end` says what is left to say."""

    _request: GenerationRequest
    _node: str
    _clock: Callable[[], float] = time.monotonic
    _usage: Mapping[str, Any] | None = field(default=None, init=False)
    _unfinished: set[int] = field(init=False)
    _counted: int = field(default=0, init=False)
    _began_s: float = field(init=False)
    _first_s: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._unfinished = set(range(self._request.choices))
        self._began_s = self._clock()

    def pieces(self, chunk: Mapping[str, Any]) -> Sequence[Piece]:
        """What a chunk brings; raises EngineFailed for one that makes no sense."""
        try:
            self._usage = chunk.get("usage") or self._usage
            read = [self._piece(choice) for choice in chunk.get("choices") or ()]
        except NONSENSE as error:
            raise failed(self._node, "sent a chunk that is not OpenAI's", f"{type(error).__name__}: {error}") from None
        return [piece for piece in read if piece != Piece(index=piece.index)]

    def end(self) -> Piece:
        """The last piece, with the usage; raises EngineFailed where the answer is not complete."""
        if self._unfinished:
            raise failed(self._node, "ended its answer before it was complete; send the request again")
        usage = self._counts()
        return Piece(usage=usage, tokens=max(0, usage.completion_tokens - self._counted))

    def _piece(self, choice: Mapping[str, Any]) -> Piece:
        index = int(choice.get("index") or 0)
        if not 0 <= index < self._request.choices:
            raise ValueError(f"choice {index} of {self._request.choices}")
        is_chat = self._request.messages is not None
        said = self._said(choice) if is_chat else {"text": choice.get("text") or ""}
        logprobs = choice.get("logprobs") if self._request.logprobs is not None else None
        piece = Piece(
            index=index,
            **said,
            logprobs=(_chat_logprobs(logprobs) if is_chat else _legacy_logprobs(logprobs)) if logprobs else (),
            tokens=int(any(said.values())),
            finish_reason=self._finish(index, choice.get("finish_reason")),
            stop=self._stop(choice.get("stop_reason")),
        )
        self._count(piece)
        return piece

    def _said(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        delta = choice.get("delta") or choice.get("message") or {}
        calls = delta.get("tool_calls") or ()
        return {
            "text": delta.get("content") or "",
            "reasoning": delta.get("reasoning_content") or delta.get("reasoning") or "",
            "tool_calls": tuple(_call(position, call) for position, call in enumerate(calls)),
        }

    def _finish(self, index: int, reason: Any) -> FinishReason | None:
        if not reason:
            return None
        if reason in GAVE_UP:
            raise ValueError(f"it gave up: {reason}")
        self._unfinished.discard(index)
        if reason == "function_call":
            return "tool_calls"
        return cast("FinishReason", reason) if reason in FINISH_REASONS else "stop"

    def _stop(self, told: Any) -> str | None:
        """The stop string that ended the choice, which vLLM tells; a stop token's id is none."""
        return told if isinstance(told, str) and told in self._request.stop else None

    def _count(self, piece: Piece) -> None:
        if piece.tokens:
            self._counted += piece.tokens
            self._first_s = self._first_s or self._clock()

    def _counts(self) -> Usage:
        now_s = self._clock()
        first_s = self._first_s or now_s
        timed = Usage(
            prompt_tokens=0,
            completion_tokens=self._counted,
            prefill_s=first_s - self._began_s,
            decode_s=now_s - first_s,
            counted=False,
        )
        return timed if self._usage is None else self._with_counts(timed, self._usage)

    def _with_counts(self, timed: Usage, told: Mapping[str, Any]) -> Usage:
        try:
            return evolve(
                timed,
                prompt_tokens=count_of(told["prompt_tokens"]),
                completion_tokens=count_of(told.get("completion_tokens") or 0),
                cached_tokens=count_of((told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
                reasoning_tokens=_reasoning_tokens(told.get("completion_tokens_details") or {}),
                counted=True,
            )
        except NONSENSE as error:
            raise failed(self._node, "counts its tokens in a way that is not OpenAI's", str(error)) from None


def _call(position: int, call: Mapping[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    arguments = function.get("arguments") or ""
    index = call.get("index")
    return ToolCallDelta(
        index=position if index is None else int(index),
        id=call.get("id") or None,
        name=function.get("name") or None,
        arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
    )


def _chat_logprobs(logprobs: Mapping[str, Any]) -> Sequence[TokenLogprob]:
    return tuple(_logprob(entry) for entry in logprobs.get("content") or ())


def _logprob(entry: Mapping[str, Any]) -> TokenLogprob:
    token, raw = str(entry["token"]), entry.get("bytes")
    top = tuple(_logprob(other) for other in entry.get("top_logprobs") or ())
    return TokenLogprob(token, token.encode() if raw is None else _bytes(raw), float(entry["logprob"]), top)


def _bytes(raw: Any) -> bytes:
    """Raises ValueError for anything but a list of a token's bytes: a mere number would be so many zeros."""
    if not isinstance(raw, list) or len(raw) > LONGEST_TOKEN_BYTES:
        raise ValueError("the bytes of a token are no list of bytes, or too many")
    return bytes(raw)


def _legacy_logprobs(logprobs: Mapping[str, Any]) -> Sequence[TokenLogprob]:
    tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [{}] * len(tokens)
    return tuple(
        TokenLogprob(
            token,
            token.encode(),
            float(value or 0.0),  # the first token of an echo has none
            tuple(TokenLogprob(other, other.encode(), float(chance)) for other, chance in (top or {}).items()),
        )
        for token, value, top in zip(tokens, values, tops, strict=True)
    )


def _reasoning_tokens(details: Mapping[str, Any]) -> int | None:
    told = details.get("reasoning_tokens")
    return None if told is None else count_of(told)
