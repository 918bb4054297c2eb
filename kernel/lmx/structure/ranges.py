"""What an option allows, checked and in words."""

from collections.abc import Collection
from typing import Any

from lmx_hookspecs import Option


def complaint(value: Any, option: Option) -> str | None:
    """What is wrong with a value of the right type, or None; null is never out of range."""
    if value is None:
        return None
    if option.choices is not None and value not in option.choices:
        return f"must be one of: {', '.join(map(str, option.choices))}"
    if isinstance(value, int | float):
        return _range_complaint(value, option)
    if isinstance(value, Collection):
        return _length_complaint(value, option)
    return None


def _range_complaint(value: float, option: Option) -> str | None:
    low = option.ge is not None and value < option.ge
    not_above = option.gt is not None and value <= option.gt
    high = option.le is not None and value > option.le
    return f"must be {allowed_range(option)}" if low or not_above or high else None


def allowed_range(option: Option) -> str:
    """The numbers that an option takes, in words; empty if any."""
    if option.ge is not None and option.le is not None:
        return f"between {option.ge} and {option.le}"
    bounds = (("at least", option.ge), ("greater than", option.gt), ("at most", option.le))
    return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def _length_complaint(value: Collection[Any], option: Option) -> str | None:
    unit = "characters" if isinstance(value, str) else "items"
    if option.min_length is not None and len(value) < option.min_length:
        return "must not be empty" if option.min_length == 1 else f"must have at least {option.min_length} {unit}"
    if option.max_length is not None and len(value) > option.max_length:
        return f"must have at most {option.max_length} {unit}"
    return None
