"""What a service runs, and with which variables."""

import sys
from collections.abc import Mapping
from math import ceil
from pathlib import Path

from attrs import frozen

from lmx.config.files import PREFIX

OPEN_FILES = 65_536
LEAST_STOP_S = 60
STOP_MARGIN_S = 15
"""What stopping takes beyond the grace of running requests."""
CARRIED = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
"""Variables that say where downloaded models are: the service must look where the user's shell does."""
SYSTEM_FOLDERS = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@frozen(kw_only=True)
class Definition:
    """One service: `lmx serve` of this Python, with one configuration folder."""

    python: Path
    config_dir: Path | None
    home: Path
    """Where its data is; also the folder that it runs in."""
    environment: Mapping[str, str]
    shutdown_grace_s: float

    @property
    def words(self) -> list[str]:
        """The command line."""
        folder = ["--config-dir", str(self.config_dir)] if self.config_dir else []
        return [str(self.python), "-m", "lmx", *folder, "serve"]

    @property
    def stop_timeout_s(self) -> int:
        """Seconds after which it may be killed."""
        return max(LEAST_STOP_S, ceil(self.shutdown_grace_s) + STOP_MARGIN_S)


def service_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The variables of a service that is installed from this environment: few, and never a key."""
    carried = {name: environment[name] for name in CARRIED if environment.get(name)}
    path = f"{Path(sys.executable).parent}:{SYSTEM_FOLDERS}"
    return {"LMX_HOME": str(home), "PATH": path, "PYTHONUNBUFFERED": "1", **carried}


def left_out(environment: Mapping[str, str]) -> list[str]:
    """Variables that set keys of the configuration in this shell, and will not in the service."""
    return sorted(name for name in environment if name.startswith(PREFIX) and "__" in name)
