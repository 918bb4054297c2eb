"""Whether the text of a row is what it was bound to be."""

from collections.abc import Callable

from attrs import define, field

from lmx_hookspecs.constraints import TokenMask
from lmx_hookspecs.errors import InvalidRequest


@define(eq=False)
class Verdict:
    """Follows a row whose constraint is not, or not only, enforced by its mask."""

    _mask: TokenMask | None
    _flaw_of: Callable[[str], str | None] | None
    param: str | None = None
    """The field of the request that binds it."""
    _said: list[str] = field(factory=list, init=False)

    def add(self, text: str) -> None:
        """Text for the client."""
        if self._flaw_of is not None:
            self._said.append(text)

    @property
    def failure(self) -> InvalidRequest | None:
        """Why the answer had to end."""
        reason = None if self._mask is None else self._mask.failure
        return None if reason is None else InvalidRequest(reason, param=self.param)

    def flaws(self) -> list[str]:
        """What is wrong with the whole text."""
        flaw = None if self._flaw_of is None else self._flaw_of("".join(self._said))
        return [] if flaw is None else [flaw]
