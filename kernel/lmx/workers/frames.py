"""Frames between kernel and worker: a length of four bytes, then a msgpack array `[kind, ...]`.

Kernel to worker

    hello {contract, frames, opta-lmx}  the versions it speaks; first
    load {plugin, backend, config, model, text_plugins, heartbeat_interval_s, stream_interval_s}
    generate id request              a GenerationRequest as plain data
    count id request                 a GenerationRequest, of which only the prompts' tokens are wanted
    embed id request                 an EmbeddingRequest as plain data
    rerank id request                a RerankRequest as plain data
    cancel id                        unknown ids are ignored
    call id method args              a method of the engine
    stop                             end, having closed the engine

Worker to kernel

    hello {contract, frames, opta-lmx}
    ready description                an EngineDescription as plain data
    step [piece, ...]                what the last engine steps gave, of all requests: see `wire.py`, `outbox.py`
    failed id error                  the end of that request or call; id 0 is the load
    vectors id [[place, floats]...]  some vectors of an embedding: places of inputs, little-endian 32-bit floats
    result id value                  what a call returned; of an embedding, whose vectors have all gone before,
                                     {prompt_tokens, model}; of a reranking {results: [[index, score]...],
                                     total_tokens, model}; of a count {prompt_tokens}
    beat step_age_s pending          once per `heartbeat_interval_s`, from a thread that does nothing else
    log level event facts            a line for the kernel's log

A job has a worker of its own, which knows fewer

    hello {contract, frames, opta-lmx}  kernel to worker, and back
    job {plugin, job, config, arguments}
    stop                             interrupt the job
    progress fraction note facts     worker to kernel, several times a second at most
    result 0 value                   what the job came to; the last frame
    failed 0 error                   why it came to nothing; the last frame
    log level event facts
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import PurePath
from typing import Any

import attrs
import msgpack

MAX_FRAME_BYTES = 64 << 20
LOAD_ID = 0
JOB_ID = 0

_LENGTH = struct.Struct(">I")
_RECEIVE_BYTES = 1 << 16


class FrameError(ValueError):
    """A value cannot travel in a frame, or what arrived is not one."""


@attrs.define(eq=False)
class Encoder:
    """Turns frames into bytes; for one thread at a time."""

    _packer: Any = attrs.field(factory=lambda: msgpack.Packer(default=plain), init=False)

    def encode(self, frame: Sequence[Any]) -> bytes:
        """The frame with its length; attrs values, paths and sets travel as plain data. Raises FrameError."""
        try:
            body: bytes = self._packer.pack(frame)
        except (ValueError, TypeError, OverflowError) as error:
            raise FrameError(f"a value cannot be sent between processes: {error}") from error
        if len(body) > MAX_FRAME_BYTES:
            raise FrameError(f"{len(body)} bytes exceed the {MAX_FRAME_BYTES} of a frame")
        return _LENGTH.pack(len(body)) + body


@attrs.define(eq=False)
class Decoder:
    """Turns a stream of bytes, however it is split, into frames."""

    _held: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> Iterator[Any]:
        """The frames that these bytes complete; raises FrameError, after which the stream is lost."""
        held = self._held
        held += data
        start = 0
        while (body := start + _LENGTH.size) <= len(held):
            (size_bytes,) = _LENGTH.unpack_from(held, start)
            if size_bytes > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {size_bytes} bytes was announced, {MAX_FRAME_BYTES} are allowed")
            if len(held) < body + size_bytes:
                break
            start = body + size_bytes
            yield _decode(held[body:start])
        del held[:start]


@attrs.define(eq=False)
class FrameSocket:
    """The worker's end: blocking, read by one thread, written by several."""

    _socket: socket.socket
    received_s: float = attrs.field(factory=time.monotonic, init=False)
    """When the bytes that completed the latest frame were read, on the monotonic clock."""
    _encoder: Encoder = attrs.field(factory=Encoder, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def send(self, *frame: Any) -> None:
        """Send a frame; raises FrameError for a bad value, with nothing sent, and OSError once the kernel is gone."""
        with self._lock:
            self._socket.sendall(self._encoder.encode(frame))

    def frames(self) -> Iterator[Any]:
        """Every frame until the kernel closes its end, or dies."""
        decoder = Decoder()
        while data := self._receive():
            self.received_s = time.monotonic()
            yield from decoder.feed(data)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except ConnectionError:
            return b""


def _decode(body: bytearray) -> Any:
    try:
        return msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise FrameError(f"what arrived is not a frame: {error}") from error


def plain(value: Any) -> Any:
    """An attrs value, path or set as what msgpack can carry; raises TypeError."""
    kind: type = type(value)
    return _simplifier(kind)(value)


@cache
def _simplifier(kind: type) -> Callable[[Any], Any]:
    """What makes plain data of values of this class."""
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind)]
        return lambda value: {name: getattr(value, name) for name in names}
    if issubclass(kind, Mapping):
        return dict
    if issubclass(kind, Sequence | AbstractSet):
        return list
    if issubclass(kind, PurePath):
        return str
    raise TypeError(f"a {kind.__name__} is not plain data")
