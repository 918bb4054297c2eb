"""Which models may still answer a request, and what those said that could not."""

from collections.abc import Sequence

from attrs import define, field

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import InvalidRequest


@define(eq=False)
class Targets:
    """Model ids, best first, each tried once; one whose worker is away may be postponed until nothing else is left."""

    _left: list[str]
    tried: list[str] = field(factory=list, init=False)
    """In order; one that was postponed stands there twice."""
    refusals: list[LmxError] = field(factory=list, init=False)
    _asked_for: frozenset[str] = field(init=False)
    _seen: set[str] = field(init=False)
    _postponed: list[str] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._asked_for, self._seen = frozenset(self._left), set(self._left)

    def __bool__(self) -> bool:
        return bool(self._left or self._postponed)

    @property
    def first(self) -> str:
        """The one that is tried first."""
        return self._left[0]

    def take(self) -> str:
        """The next to try; raises IndexError where none is left."""
        target = self._left.pop(0) if self._left else self._postponed.pop(0)
        self.tried.append(target)
        return target

    def add(self, fallbacks: Sequence[str]) -> None:
        """Further ones, behind those that are left; a circle of fallbacks ends here."""
        new = self._new(fallbacks)
        self._seen.update(new)
        self._left.extend(new)

    def postpone(self, target: str) -> None:
        """Come back to it once all others have refused."""
        self._postponed.append(target)

    def is_last_resort(self, target: str, fallbacks: Sequence[str]) -> bool:
        """Whether there is nobody else to ask before the one just taken, nor among its fallbacks."""
        return self.tried.count(target) > 1 or not (self or self._new(fallbacks))

    def is_fallback(self, target: str) -> bool:
        """Whether the client has not asked for it."""
        return target not in self._asked_for

    def verdict(self) -> LmxError:
        """What the client is told when all have refused: rather what time may mend than what is wrong with a request.

        The first of those: it is what the model that was asked for said.
        """
        hopeful = (refusal for refusal in self.refusals if not isinstance(refusal, InvalidRequest))
        return next(hopeful, self.refusals[0])

    def _new(self, fallbacks: Sequence[str]) -> list[str]:
        return [fallback for fallback in dict.fromkeys(fallbacks) if fallback not in self._seen]
