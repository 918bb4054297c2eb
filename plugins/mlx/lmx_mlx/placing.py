"""Where rows go: which lane each joins, and whose turn it is."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, evolve, field

from lmx_mlx import adapter
from lmx_mlx.blas import BlasThreads
from lmx_mlx.lanes import Lane, Row
from lmx_mlx.schedule import PrefillPace


@define(eq=False, kw_only=True)
class Lanes:
    """The lanes there are; each closes when its last row leaves."""

    new_batch: Callable[[], Any]
    pace: PrefillPace
    padding_limit: float
    """Cache positions that a row may waste by joining others."""
    capacity: float
    """Cache positions that may be set aside, of all lanes together."""
    blas: BlasThreads
    clock: Callable[[], float] = time.perf_counter
    _lanes: list[Lane] = field(factory=list, init=False)
    _in_flight: Lane | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    @property
    def rows(self) -> list[Row]:
        """Those that run."""
        return [row for lane in self._lanes for row in lane.rows.values()]

    @property
    def positions(self) -> int:
        """Cache positions that are set aside."""
        return sum(lane.positions for lane in self._lanes)

    @property
    def free_positions(self) -> float:
        """Those that a further row may have; below 0 when rows have outgrown the budget."""
        return self.capacity - self.positions

    def turn(self) -> Lane | None:
        """The lane that has had the least."""
        return min(self._lanes, key=lambda lane: lane.spent_s, default=None)

    def chunk_tokens(self, pace: PrefillPace) -> int:
        """Tokens of the next prefill chunk, between steps of what is being decoded."""
        return pace.chunk_tokens(max((lane.step.value for lane in self._lanes if lane.batch.decoding), default=None))

    def enter(self, row: Row, layers: Any) -> None:
        """Let a row join others of like length, or give it a lane of its own, which takes the least room."""
        is_long = row.length - row.cached > self.chunk_tokens(self.pace)
        lane = None if is_long else self._cheapest(row, self.free_positions)
        if lane is None:
            lane = self._open(closed=is_long)
        lane.insert(row, layers, row.cached)

    def leave(self, row: Row, *, removed: bool = False) -> None:
        """Take a row out of its lane, if it has one; `removed` where the batch has let go of it already."""
        lane = row.lane
        if lane is None:
            return
        if not removed:
            lane.batch.remove(row.key)
        lane.release(row)
        if not lane.rows:
            self.close(lane)

    def close(self, lane: Lane) -> None:
        """Forget a lane and whatever is in it."""
        self._lanes.remove(lane)
        if self._in_flight is lane:
            self._in_flight = None

    def clear(self) -> None:
        """Forget all of them."""
        self._lanes.clear()
        self._in_flight = None

    def open_to_others(self, lane: Lane) -> None:
        """A long prompt is through: it joins rows of like length, or others may join it."""
        (row,) = lane.rows.values()
        target = self._cheapest(row, self.free_positions + lane.positions)
        lane.closed = False
        if target is None:
            return
        layers, tokens = lane.batch.layers_of(row.key)
        self.leave(row)
        target.insert(row, layers, len(tokens))

    def settle(self, lane: Lane) -> None:
        """Wait for what another lane has in flight, at its expense, so that times mean what they say."""
        if self._in_flight is not None and self._in_flight is not lane:
            began = self.clock()
            adapter.synchronize()
            self.charge(self._in_flight, self.clock() - began)
        self._in_flight = lane

    def advance(self, lane: Lane) -> adapter.Progress:
        """One step of a lane, at its expense, from which its pace is learned."""
        lane.begin_step()
        decoding = lane.batch.decoding
        began = self.clock()
        with self.blas.used(for_prompts=lane.batch.reads):
            progress: adapter.Progress = lane.batch.next(self.chunk_tokens(lane.pace))
        self.charge(lane, self.clock() - began)
        lane.end_step(progress, decoding)
        self.pace.tokens_per_s = lane.pace.tokens_per_s
        return progress

    def charge(self, lane: Lane, elapsed_s: float) -> None:
        """Account for time that a lane has had."""
        heaviest = max((other.weight for other in self._lanes), default=0.0)
        lane.charge(elapsed_s, lane.weight or heaviest or 1.0)

    def _open(self, *, closed: bool) -> Lane:
        lane = Lane(
            batch=self.new_batch(),
            pace=evolve(self.pace),
            spent_s=min((lane.spent_s for lane in self._lanes), default=0.0),
            closed=closed,
        )
        self._lanes.append(lane)
        return lane

    def _cheapest(self, row: Row, free_positions: float) -> Lane | None:
        """The open lane that the row pads least, within both bounds."""
        open_lanes = (lane for lane in self._lanes if not lane.closed)
        fitting = (lane for lane in open_lanes if lane.positions_with(row) - lane.positions <= free_positions)
        lane = min(fitting, key=lambda lane: lane.padding(row.length), default=None)
        return lane if lane is not None and lane.padding(row.length) <= self.padding_limit else None
