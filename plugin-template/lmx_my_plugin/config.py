"""The keys under `plugins.my_plugin`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class Settings:
    """Every key has a default, a range, and a line that says what it does."""

    exclamation_marks: int = option(1, "How many exclamation marks follow each answer.", ge=0, le=10)
