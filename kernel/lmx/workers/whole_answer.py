"""What a request that is answered all at once has got so far: vectors, and at the end the rest."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx.workers import vectors
from lmx_hookspecs.errors import LmxError


@define(eq=False)
class WholeAnswer:
    """One writer, one reader, who sees nothing before the end: until then another worker may make the answer anew."""

    handed_out: bool = field(default=False, init=False)
    """As PieceStream has it; never."""
    _vectors: dict[int, Sequence[float]] = field(factory=dict, init=False)
    _end: "asyncio.Future[Mapping[str, Any]]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._end = asyncio.get_running_loop().create_future()

    def sent(self) -> None:
        """As PieceStream has it; nobody asks."""

    def put_vectors(self, placed: Sequence[vectors.Placed]) -> None:
        """Take some of the vectors, in any order."""
        for place, sent in placed:
            self._vectors[place] = vectors.from_wire(sent)

    def finish(self, value: Mapping[str, Any]) -> None:
        """Nothing more comes."""
        if not self._end.done():
            self._end.set_result(value)

    def fail(self, error: LmxError) -> None:
        """End in an error."""
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # a caller who has left does not look

    def restart(self) -> None:
        """Forget what came: another worker makes the answer again."""
        self._vectors.clear()

    async def get(self) -> tuple[Sequence[Sequence[float]], Mapping[str, Any]]:
        """The vectors in the order of the inputs, and the rest; raises the error that the answer ended in."""
        value = await self._end
        return [self._vectors[place] for place in sorted(self._vectors)], value
