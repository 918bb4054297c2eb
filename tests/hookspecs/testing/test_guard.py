from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from lmx_hookspecs import Outcome
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.testing import check_guard


@define(eq=False)
class Strict:
    """Refuses a target for good after one outcome that it does not like."""

    disliked: frozenset[Outcome] = frozenset({Outcome.FAULT})
    for_all: bool = False
    retry_after_s: float | None = 1.0
    swallows: bool = False
    ill: set[str] = field(factory=set)

    @asynccontextmanager
    async def call(self, target: str) -> AsyncIterator[Callable[[Outcome], None]]:
        if self.ill and (self.for_all or target in self.ill):
            raise Unavailable("ill", retry_after_s=self.retry_after_s)

        def report(outcome: Outcome) -> None:
            if outcome in self.disliked:
                self.ill.add(target)

        try:
            yield report
        except ZeroDivisionError:
            if not self.swallows:
                raise

    def describe(self) -> Mapping[str, Any]:
        return {"ill": sorted(self.ill)}


def test_a_guard_that_keeps_the_contract_passes() -> None:
    check_guard(Strict())


@pytest.mark.parametrize(
    ("guard", "complaint"),
    [
        (Strict(disliked=frozenset({Outcome.CLIENT_ERROR})), "no target's fault"),
        (Strict(disliked=frozenset({Outcome.CANCELLED})), "no target's fault"),
        (Strict(for_all=True), "close another"),
        (Strict(retry_after_s=None), "when to come back"),
        (Strict(swallows=True), "swallows"),
    ],
)
def test_a_guard_that_breaks_the_contract_is_told_how(guard: Strict, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_guard(guard)
