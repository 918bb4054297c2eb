"""The contract's values as frames carry them.

A piece is `[request, index, text, tokens]`; what else it holds follows as a fifth element, a mapping. Nearly every
piece has four elements, and this is the only code of the kernel that runs once per token.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmx_hookspecs.embedding import EmbeddingRequest, RerankRequest
from lmx_hookspecs.engines import EngineDescription
from lmx_hookspecs.errors import LmxError, error_of
from lmx_hookspecs.generation import GenerationRequest, Message, Piece, Sampling, TokenLogprob, ToolCallDelta, Usage
from lmx_hookspecs.models import ModelInfo

WirePiece = Sequence[Any]

_RARE = ("reasoning", "tool_calls", "logprobs", "finish_reason", "stop", "usage", "warnings", "prompt_tokens")


def piece_to_wire(request_id: int, piece: Piece) -> WirePiece:
    """A piece of a text-level engine; the token host builds its own."""
    rare = {name: value for name in _RARE if (value := getattr(piece, name))}
    common = (request_id, piece.index, piece.text, piece.tokens)
    return (*common, rare) if rare else common


def piece_from_wire(wired: WirePiece) -> Piece:
    """The piece as its engine made it."""
    if len(wired) == 4:
        return Piece(index=wired[1], text=wired[2], tokens=wired[3])
    rare = wired[4]
    usage = rare.get("usage")
    return Piece(
        index=wired[1],
        text=wired[2],
        tokens=wired[3],
        reasoning=rare.get("reasoning", ""),
        tool_calls=tuple(ToolCallDelta(**call) for call in rare.get("tool_calls", ())),
        logprobs=tuple(map(logprob_from_wire, rare.get("logprobs", ()))),
        finish_reason=rare.get("finish_reason"),
        stop=rare.get("stop"),
        usage=Usage(**usage) if usage else None,
        warnings=rare.get("warnings", ()),
        prompt_tokens=rare.get("prompt_tokens", 0),
    )


def logprob_from_wire(wired: Mapping[str, Any]) -> TokenLogprob:
    """A token's log-probability and those of its alternatives."""
    top = tuple(map(logprob_from_wire, wired["top"]))
    return TokenLogprob(wired["token"], wired["token_bytes"], wired["logprob"], top)


def request_from_wire(wired: Mapping[str, Any]) -> GenerationRequest:
    """The request as the surface made it, its sequences as lists."""
    messages = wired["messages"]
    own = {
        "messages": messages and [Message(**message) for message in messages],
        "sampling": Sampling(**wired["sampling"]),
    }
    return GenerationRequest(**{**wired, **own})


def embedding_from_wire(wired: Mapping[str, Any]) -> EmbeddingRequest:
    """The request as the surface made it."""
    return EmbeddingRequest(**wired)


def reranking_from_wire(wired: Mapping[str, Any]) -> RerankRequest:
    """The request as the surface made it."""
    return RerankRequest(**wired)


def model_from_wire(wired: Mapping[str, Any]) -> ModelInfo:
    """The model that a worker is to load."""
    able = wired["capabilities"]
    paths = {name: wired[name] and Path(wired[name]) for name in ("path", "adapter", "draft")}
    return ModelInfo(**{**wired, **paths, "capabilities": None if able is None else frozenset(able)})


def description_from_wire(wired: Mapping[str, Any]) -> EngineDescription:
    """What the engine says of itself."""
    return EngineDescription(**{**wired, "capabilities": frozenset(wired["capabilities"])})


def error_to_wire(error: LmxError) -> Mapping[str, Any]:
    """A deliberate error, to be raised again on the other side."""
    return {
        "code": error.code,
        "kind": error.kind,
        "message": text_to_wire(error.message),
        "param": error.param,
        "retry_after_s": error.retry_after_s,
        "detail": error.detail and text_to_wire(error.detail),
    }


def error_from_wire(wired: Mapping[str, Any]) -> LmxError:
    """The error as it was raised on the other side."""
    return error_of(
        wired["code"],
        wired["message"],
        kind=wired["kind"],
        param=wired["param"],
        retry_after_s=wired["retry_after_s"],
        detail=wired["detail"],
    )


def text_to_wire(text: str) -> str:
    """The text, with what UTF-8 cannot carry (undecodable bytes of a file's name, say) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
