"""Configuration that plugins declare: attrs classes whose fields carry their documentation and range."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import attrs
from attrs import frozen

METADATA_KEY = "lmx"


@frozen(kw_only=True)
class Option:
    """What is known of a field beyond its name, type and default."""

    doc: str = ""
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    choices: Sequence[Any] | None = None
    max_length: int | None = None
    min_length: int | None = None
    secret: bool = False
    """Masked wherever the configuration is shown."""
    restart: bool = True
    """A change takes effect only at the next start."""


def option(
    default: Any = attrs.NOTHING,
    doc: str = "",
    *,
    factory: Any = None,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    choices: Sequence[Any] | None = None,
    max_length: int | None = None,
    min_length: int | None = None,
    secret: bool = False,
    restart: bool = True,
) -> Any:
    """An attrs field of a configuration section or a request body, with its documentation and allowed range.

    Lengths bound strings and lists, `ge`, `gt` and `le` numbers; they are checked wherever data becomes an instance.
    """
    facts = Option(
        doc=doc,
        ge=ge,
        le=le,
        gt=gt,
        choices=choices,
        max_length=max_length,
        min_length=min_length,
        secret=secret,
        restart=restart,
    )
    metadata = {METADATA_KEY: facts}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def options_of(cls: type) -> Mapping[str, Option]:
    """The Option of each field of an attrs class; an empty one for a plain field."""
    return {attribute.name: attribute.metadata.get(METADATA_KEY, Option()) for attribute in attrs.fields(cls)}


@frozen(kw_only=True)
class ConfigSpec:
    """Where a plugin's keys stand: under `plugins.<plugin>`, or in one top-level section of its own."""

    cls: Any
    """attrs class of the section, every field with a default; or, for a top-level section whose keys are names that
    somebody chooses, a Mapping from str to an attrs class."""
    section: str | None = None
    """A top-level section such as `rag`; None means `plugins.<plugin>`."""
    example: Mapping[str, Any] = attrs.field(factory=dict)
    """What a Mapping may hold: it has no default to show."""

    @property
    def entry(self) -> type | None:
        """The class of a Mapping's entries; None where `cls` is an attrs class itself."""
        return None if attrs.has(self.cls) else get_args(self.cls)[1]


@frozen(kw_only=True)
class Requires:
    """What must be importable before a plugin is more than `idle`, and the extra that brings it."""

    modules: Sequence[str]
    extra: str
    """`mlx` stands for `pip install 'opta-lmx[mlx]'`; a whole pip line is kept as it is."""
