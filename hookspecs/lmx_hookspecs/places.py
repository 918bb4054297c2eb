"""Where LMX keeps what is its own."""

import os
from pathlib import Path

from lmx_hookspecs.errors import ConfigError

DEFAULT_HOME = "~/.lmx"


def home() -> Path:
    """`$LMX_HOME`, else `~/.lmx`; made when something is first written into it. Raises ConfigError."""
    named = os.environ.get("LMX_HOME") or DEFAULT_HOME
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise ConfigError(f"LMX_HOME is {named}, and nobody here has that home; write the whole path") from None


def quantized_models() -> Path:
    """The folder of models that were quantised here and given no other place."""
    return home() / "quantized"
