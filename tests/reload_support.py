"""Configurations in force whose files can be written anew."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import Attribute, define, frozen

from lmx.config import SECTIONS, Config
from lmx.config.reload import Plan, Sources, plan
from lmx_hookspecs import ConfigSpec, ReloadReport, option


@frozen(kw_only=True)
class Inner:
    live: int = option(1, restart=False)
    fixed: int = option(1)


@frozen(kw_only=True)
class QueueKeys:
    length: int = option(10, restart=False)
    most: int = option(10)
    token: str | None = option(None, secret=True, restart=False)
    inner: Inner = option(factory=Inner)

    @length.validator
    def _fits(self, attribute: "Attribute[int]", value: int) -> None:
        if value > self.most:
            raise ValueError("must not be above most", attribute)


@frozen(kw_only=True)
class ArchiveKeys:
    top_k: int = option(5, restart=False)


SPECS: Mapping[str, Sequence[ConfigSpec]] = {
    "queue": [ConfigSpec(cls=QueueKeys)],
    "archive": [ConfigSpec(cls=ArchiveKeys, section="archive")],
}
ALL_PARTS = frozenset({*SECTIONS, "plugins.queue", "archive"})


@define
class Running:
    """A configuration in force, and its folder, which can be written anew."""

    folder: Path
    sources: Sources
    config: Config
    parts: frozenset[str] = ALL_PARTS

    def rewrite(self, text: str) -> "Running":
        (self.folder / "00.yaml").write_text(text, encoding="utf-8")
        return self

    def plan(self) -> Plan:
        return plan(self.config, self.sources, self.parts)

    def reload(self) -> ReloadReport:
        planned = self.plan()
        self.config = planned.config
        return planned.report


Start = Callable[..., Running]
