"""Keys of plugin `sessions`."""

from pathlib import Path

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class SessionsConfig:
    """Where the sessions lie."""

    directory: Path = option(
        Path("~/.config/opta/sessions"), "folder with one JSON file per session, and perhaps index.json; ~ is home"
    )
