"""Rows and the lanes they run in."""

from typing import Any

from attrs import define, field

from lmx_hookspecs import TokenRequest
from lmx_mlx.disk_cache import Fetch
from lmx_mlx.schedule import Average, PrefillPace, decode_weight, padding_tokens


@define(eq=False, kw_only=True)
class Row:
    """One row from `add` to its last piece; it waits while it has no lane."""

    id: int
    request: TokenRequest
    prompt: list[int]
    max_tokens: int
    sampler: Any
    processors: list[Any]
    positions: int
    """Cache positions set aside for it, or those that it waits for."""
    twin: "Row | None" = None
    """An earlier row with the same prompt, whose prefill will serve both."""
    fetch: Fetch | None = None
    """A cache on its way from the disk, which it waits for."""
    prefilled: bool = False
    lane: "Lane | None" = None
    key: int = -1
    """Its name inside the lane's batch."""
    cached: int = 0
    drawn: list[int] = field(factory=list)
    overtaken: int = 0

    @property
    def tokens(self) -> list[int]:
        """All that its cache is to hold."""
        return self.prompt + self.drawn

    @property
    def length(self) -> int:
        """Tokens that its cache holds, or will once they are through."""
        return len(self.prompt) + len(self.drawn)

    @property
    def longest(self) -> int:
        """Tokens that it may come to."""
        return len(self.prompt) + self.max_tokens


@define(eq=False, kw_only=True)
class Lane:
    """Rows of like length in one batch; lanes take turns."""

    batch: Any
    pace: PrefillPace
    spent_s: float
    """Time it has had, divided by its weight."""
    closed: bool = False
    """A long prompt has it to itself until it is through."""
    rows: dict[int, Row] = field(factory=dict)
    step: Average = field(factory=Average)
    """Seconds of a step that only decodes."""
    _span_s: float = 0.0
    _decoded_only: bool = False

    @property
    def weight(self) -> float:
        """Share of the machine by the rows it decodes; 0 while it only prefills."""
        return decode_weight(self.batch.decoding)

    @property
    def positions(self) -> int:
        """Cache positions set aside for its rows: the batch pads each to the longest."""
        return len(self.rows) * max((row.positions for row in self.rows.values()), default=0)

    def positions_with(self, row: Row) -> int:
        """The same once that row has joined."""
        return (len(self.rows) + 1) * max(other.positions for other in (row, *self.rows.values()))

    def padding(self, length: int) -> int:
        """Cache positions wasted if a row of that length joined."""
        longest = max((row.length for row in self.rows.values()), default=length)
        return padding_tokens(longest, len(self.rows), length)

    def insert(self, row: Row, layers: Any, held: int) -> None:
        """Take a row in, the first `held` of its tokens being in `layers`."""
        row.lane = self
        row.key = self.batch.insert(
            row.tokens,
            max_tokens=row.longest - row.length,
            sampler=row.sampler,
            processors=row.processors,
            reports_logprobs=row.request.logprobs is not None,
            layers=layers,
            held=held,
        )
        self.rows[row.key] = row

    def release(self, row: Row) -> None:
        """Let go of a row that the batch no longer has."""
        del self.rows[row.key]
        row.lane = None

    def charge(self, elapsed_s: float, weight: float) -> None:
        """Account for time on the machine: a step, or the wait for what a step left in flight."""
        self.spent_s += elapsed_s / weight
        self._span_s += elapsed_s

    def begin_step(self) -> None:
        """What was charged since the last step was that step, all of it."""
        if self._decoded_only:
            self.step.add(self._span_s)
        self._span_s = 0.0

    def end_step(self, progress: Any, decoding: int) -> None:
        """Learn from a step in which `decoding` rows were past their prompt when it began."""
        alike = decoding == self.batch.decoding and not progress.begun
        self._decoded_only = alike and not progress.prompt_tokens and not self.batch.reads
        if progress.prompt_tokens:
            self.pace.measured(progress.prompt_tokens, progress.prompt_s)
