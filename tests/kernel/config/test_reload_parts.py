"""Who is told of what a reload has changed."""

from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from lmx.config import read
from lmx.config.reload import Sources, apply, parts_of_plugins
from lmx_hookspecs import ConfigSpec
from lmx_hookspecs.errors import ConfigError
from reload_support import ArchiveKeys, QueueKeys, Running, Start


@define
class Taker:
    """Takes sections over, until one is too much."""

    limit: int = 10**6
    seen: list[int] = field(factory=list)

    def reconfigure(self, config: Any) -> None:
        value = config.top_k if isinstance(config, ArchiveKeys) else config.length
        if value > self.limit:
            raise RuntimeError("too much")
        self.seen.append(value)


def test_every_changed_section_goes_to_its_parts(start: Start) -> None:
    running = start().rewrite("archive: {top_k: 7}\nplugins: {queue: {length: 3}}")
    first, second, queue = Taker(), Taker(), Taker()
    parts = parts_of_plugins(
        running.config, {"archive": [first, object(), second], "queue": [queue], "keyless": [Taker()]}
    )

    apply(running.plan(), parts)

    assert (first.seen, second.seen, queue.seen) == ([7], [7], [3])


def test_the_other_sections_of_a_plugin_are_taken_over_by_name(tmp_path: Path) -> None:
    specs = {"remote": [ConfigSpec(cls=QueueKeys), ConfigSpec(cls=ArchiveKeys, section="archive")]}
    sources = Sources(flags={}, environment={}, plugin_specs=specs, installed=frozenset(specs))
    (tmp_path / "00.yaml").write_text("{}")
    running = Running(tmp_path, sources, sources.resolved(read(tmp_path, {}, {})), frozenset({"archive"}))
    taker = SectionTaker()
    parts = parts_of_plugins(running.config, {"remote": [taker, object()]})

    apply(running.rewrite("archive: {top_k: 7}").plan(), parts)

    assert taker.seen == [("archive", ArchiveKeys(top_k=7))]
    assert parts.keys() == {"archive"}


@define
class SectionTaker:
    """Takes over sections beside its plugin's first one."""

    seen: list[tuple[str, Any]] = field(factory=list)

    def reconfigure_section(self, name: str, section: Any) -> None:
        self.seen.append((name, section))


def test_a_plugin_whose_objects_cannot_be_reconfigured_has_no_part(start: Start) -> None:
    assert parts_of_plugins(start().config, {"archive": [object()]}) == {}


def test_when_one_part_refuses_the_others_get_their_old_section_back(start: Start) -> None:
    planned = start().rewrite("archive: {top_k: 7}\nplugins: {queue: {length: 3}}").plan()
    archive, queue, broken = Taker(), Taker(), Taker(limit=1)
    parts = {"archive": [archive.reconfigure], "plugins.queue": [queue.reconfigure, broken.reconfigure]}

    with pytest.raises(ConfigError, match=r"plugins\.queue could not take its new keys, so nothing has changed: too"):
        apply(planned, parts)

    assert (archive.seen, queue.seen, broken.seen) == ([7, 5], [3, 10], [])
