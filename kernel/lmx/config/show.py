"""The configuration as plain data that may be shown: secrets masked."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lmx.structure import unstructure
from lmx_hookspecs import options_of

MASK = "********"


def masked(value: Any) -> Any:
    """Plain data of a section, or of any value in one; an empty mapping for a section that is not there."""
    if value is None:
        return {}
    if attrs.has(type(value)):
        options = options_of(type(value))
        return {name: _masked_field(getattr(value, name), option.secret) for name, option in options.items()}
    if isinstance(value, Mapping):
        return {key: _masked_field(item, False) for key, item in value.items()}
    return unstructure(value)


def _masked_field(value: Any, secret: bool) -> Any:
    if value is None:
        return None
    if not secret:
        return masked(value)
    return [MASK] * len(value) if isinstance(value, list | tuple) else MASK


def as_yaml(data: Any) -> str:
    """Plain data as block-style YAML, in its own order."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.dump(data, stream)
    return stream.getvalue()


def leaves(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is not itself a mapping of values, with its path."""
    if isinstance(data, Mapping) and data:
        for key, item in data.items():
            yield from leaves(item, (*path, str(key)))
    elif path:
        yield path, data
