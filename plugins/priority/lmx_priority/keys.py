"""How much runs for each API key over all models, and which request of a key has been too heavy for what was left."""

from attrs import define, field

from lmx_priority.place import Place


@define(eq=False)
class Keys:
    """`limit` bounds the rows of each key; a request heavier than that runs alone of its key."""

    limit: int | None
    rows: dict[str | None, int] = field(factory=dict)
    """For each key of which anything runs."""
    _heavy: dict[str | None, Place] = field(factory=dict)
    """Of each key, one that waits for more room than its limit had left; lighter ones pass it, up to a bound."""

    def allow(self, place: Place) -> bool:
        """Whether it may run, as far as its key is concerned."""
        rows = self.rows.get(place.key, 0)
        if self.limit is None or not rows:
            return True
        heavy, needed = self._heavy.get(place.key), place.weight
        if heavy is not None and _passes(place, heavy) and heavy.key_passed_rows >= self.limit:
            needed = max(needed, heavy.weight)  # what room there is, is kept for that one
        return rows + needed <= self.limit

    def keep_back(self, place: Place) -> None:
        """It would be next and is not allowed to be: remember it if a lighter one of its key would be."""
        heavy = self._heavy.get(place.key)
        has_room = self.limit is not None and self.rows.get(place.key, 0) < self.limit
        if has_room and (heavy is None or place.level < heavy.level):
            self._heavy[place.key] = place

    def start(self, place: Place) -> None:
        """It runs now."""
        self.rows[place.key] = self.rows.get(place.key, 0) + place.weight
        self.forget(place)
        heavy = self._heavy.get(place.key)
        if heavy is not None and _passes(place, heavy):
            heavy.key_passed_rows += place.weight

    def finish(self, place: Place) -> None:
        """It runs no more."""
        self.rows[place.key] -= place.weight
        if not self.rows[place.key]:
            del self.rows[place.key]

    def forget(self, place: Place) -> None:
        """It does not wait any more."""
        if self._heavy.get(place.key) is place:
            del self._heavy[place.key]


def _passes(place: Place, heavy: Place) -> bool:
    """Whether it would go before one of its own class or a higher one."""
    return place is not heavy and place.level >= heavy.level
