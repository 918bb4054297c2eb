"""The server as a service of the user: a launchd agent on macOS, a systemd user unit on Linux.

manager = manager_for(System(), "lmx")
install(manager, definition)
manager.state()
"""

from lmx.service.definition import Definition, left_out, service_environment
from lmx.service.launchd import Launchd
from lmx.service.manager import Manager, State, install, uninstall
from lmx.service.system import System
from lmx.service.systemd import Systemd
from lmx_hookspecs.errors import ConfigError

__all__ = [
    "Definition",
    "Manager",
    "State",
    "System",
    "install",
    "left_out",
    "manager_for",
    "service_environment",
    "uninstall",
]


def manager_for(system: System, name: str) -> Manager:
    """What keeps services on this machine; raises ConfigError where nothing does that we know."""
    if system.platform == "darwin":
        return Launchd(system, name)
    if system.platform == "linux":
        return Systemd(system, name)
    raise ConfigError(f"there is no service manager for {system.platform} here; start `lmx serve` with your own")
