"""Keys of plugin `shedder`."""

from typing import TYPE_CHECKING

from attrs import frozen

from lmx_hookspecs import option

if TYPE_CHECKING:
    from attrs import Attribute


@frozen(kw_only=True)
class ShedderConfig:
    """From where on work is refused, and until when."""

    shed_above_percent: float = option(
        95.0, "memory pressure in percent from which on work is refused", ge=1, le=99.9, restart=False
    )
    resume_below_percent: float = option(
        90.0, "memory pressure in percent below which work is taken again", gt=0, le=99.8, restart=False
    )
    max_loop_lag_ms: float = option(
        500.0,
        "mean delay of the server's event loop from which on work is refused, until it is half of that",
        ge=10,
        le=60_000,
        restart=False,
    )

    @resume_below_percent.validator
    def _leaves_a_gap(self, attribute: "Attribute[float]", value: float) -> None:
        if value >= self.shed_above_percent:
            raise ValueError(
                f"must be below shed_above_percent ({self.shed_above_percent:g}), or work would be refused and taken "
                "by turns",
                attribute,
            )
