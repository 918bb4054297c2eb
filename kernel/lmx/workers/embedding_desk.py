"""The embedding requests of a token-level engine: batch after batch, each small enough to come between two steps."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx.workers import vectors
from lmx.workers.inputs import Inputs
from lmx_hookspecs.embedding import EmbeddingStepEngine
from lmx_hookspecs.errors import EngineFailed

BESIDE_ROWS_S = 0.02
"""How long a batch should take while rows wait for their next step, as far as a single input allows."""
BY_ITSELF_S = 0.25
"""And while none do: one may come."""
FIRST_TOKENS = 512
MOST_TOKENS = 1 << 16


@define(eq=False)
class Work:
    """What is left to embed of one request."""

    id: int
    inputs: Sequence[Sequence[int]]
    dimensions: int | None
    _left: deque[int] = field(init=False)
    """Places of inputs, the shortest first: those of one batch are of about one length, since engines pad."""

    def __attrs_post_init__(self) -> None:
        self._left = deque(sorted(range(len(self.inputs)), key=lambda place: len(self.inputs[place])))

    @classmethod
    def of(cls, prepared: Inputs) -> "Work":
        """All of it."""
        return cls(prepared.id, prepared.tokens, prepared.request.dimensions)

    @property
    def done(self) -> bool:
        """Whether every input has its vector."""
        return not self._left

    def take(self, most_tokens: int) -> list[int]:
        """The places of the next batch: at least one, at most a frame, padded to no more than `most_tokens`."""
        taken = [self._left.popleft()]
        while self._left and len(taken) < vectors.VECTORS_A_FRAME:
            longest = len(self.inputs[self._left[0]])
            if longest * (len(taken) + 1) > most_tokens:
                break
            taken.append(self._left.popleft())
        return taken

    def result(self) -> Mapping[str, Any]:
        """What the end of it tells."""
        return {"prompt_tokens": sum(map(len, self.inputs)), "model": ""}


@define(eq=False)
class EmbeddingDesk:
    """Requests take turns, so that a large one does not hold up a small one."""

    _clock: Callable[[], float] = time.monotonic
    _work: dict[int, Work] = field(factory=dict, init=False)
    _tokens_per_s: float | None = field(default=None, init=False)
    """As the last batch had it."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to embed."""
        return bool(self._work)

    def put(self, work: Work) -> None:
        """Take a request in."""
        self._work[work.id] = work

    def drop(self, request_id: int) -> None:
        """Forget a request; unknown ones are ignored."""
        self._work.pop(request_id, None)

    def turn(self) -> Work:
        """The request whose turn it is; it goes to the end of the queue."""
        request_id = next(iter(self._work))
        work = self._work.pop(request_id)
        self._work[request_id] = work
        return work

    def embed(self, work: Work, engine: EmbeddingStepEngine, *, beside_rows: bool) -> Sequence[vectors.Placed]:
        """One batch of a request; raises what the engine raises, and EngineFailed for vectors that are none."""
        places = work.take(self._most_tokens(BESIDE_ROWS_S if beside_rows else BY_ITSELF_S))
        began_s = self._clock()
        made = engine.embed([work.inputs[place] for place in places])
        self._learn(len(places) * len(work.inputs[places[-1]]), self._clock() - began_s)
        if len(made) != len(places):
            raise EngineFailed(f"the engine gave {len(made)} vectors for {len(places)} inputs")
        return [
            (place, vectors.to_wire(vectors.shortened(vector, work.dimensions)))
            for place, vector in zip(places, made, strict=True)
        ]

    def _most_tokens(self, target_s: float) -> int:
        if self._tokens_per_s is None:
            return FIRST_TOKENS
        return min(MOST_TOKENS, int(self._tokens_per_s * target_s))

    def _learn(self, tokens: int, took_s: float) -> None:
        self._tokens_per_s = tokens / max(took_s, 1e-6)
