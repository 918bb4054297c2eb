"""Calls of a part's methods in its process."""

import asyncio
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from lmx.workers.frames import FrameError
from lmx.workers.part_values import Joiner, Signature, TooMuch, packed, pieces, unpacked
from lmx.workers.session import Session
from lmx_hookspecs.errors import InvalidRequest, TooLarge

INLINE_BYTES = 1 << 18
"""What is unpacked in so little time that a thread would take longer to begin."""


class NotSent(Exception):
    """The process was gone before it had the call."""


@define(eq=False)
class PartCalls:
    """Of one process."""

    session: Session
    _results: Joiner = field(factory=Joiner, init=False)

    def take(self, frame: Any) -> None:
        """A frame of the process; the last piece of a result comes as that of the call."""
        match frame:
            case ["piece", call_id, piece]:
                self._results.put(call_id, piece)

    async def ask(self, method: str, body: bytes, signature: Signature) -> Any:
        """What the method returns; raises its LmxError, WorkerLost, and NotSent."""
        call_id = self.session.new_call()
        try:
            return await self._result(call_id, await self._answer(call_id, method, body), signature)
        except BaseException:
            self._cancel(call_id)
            raise
        finally:
            self._results.drop(call_id)

    async def _answer(self, call_id: int, method: str, body: bytes) -> bytes:
        worker = self.session.worker
        for piece, last in pieces(body):
            if worker.gone.done():
                raise NotSent
            if last:
                answer: bytes = await self.session.answer(
                    call_id,
                    lambda: worker.send("call", call_id, method, piece),  # noqa: B023  called before the next
                )
                return answer
            worker.send("piece", call_id, piece)
            await asyncio.sleep(0)
            await worker.room()  # a transport moves all that it holds each time that some of it is taken
        raise NotSent

    async def _result(self, call_id: int, last: bytes, signature: Signature) -> Any:
        body = self._results.whole(call_id, last)
        if len(body) <= INLINE_BYTES:
            return signature.result(unpacked(body))
        return await asyncio.to_thread(lambda: signature.result(unpacked(body)))

    def _cancel(self, call_id: int) -> None:
        if not self.session.worker.gone.done():
            self.session.worker.send("cancel", call_id)


async def body_of(arguments: Mapping[str, Any], *, large: bool) -> bytes:
    """The arguments as they are sent; raises TooLarge, and InvalidRequest for what cannot travel."""
    try:
        return await asyncio.to_thread(packed, arguments) if large else packed(arguments)
    except TooMuch as error:
        raise TooLarge(str(error)) from error
    except FrameError as error:
        raise InvalidRequest(str(error)) from error
