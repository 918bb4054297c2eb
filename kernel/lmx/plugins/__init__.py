"""Plugins: find them, load them, quarantine the broken ones, describe them all.

entries = installed()
loader = discover(disabled, entries, interpreters)  # imports, asks for configuration and requirements
loader.config_specs()                   # what the configuration is validated against
registry = loader.collect()             # calls the other hooks
registry.specs("lmx_backends")
"""

from lmx.plugins.entries import PluginEntry, installed, installed_names, off_by_default
from lmx.plugins.environments import interpreters
from lmx.plugins.load import Loader, Offer, PluginRecord, Registry, Status, discover

__all__ = [
    "Loader",
    "Offer",
    "PluginEntry",
    "PluginRecord",
    "Registry",
    "Status",
    "discover",
    "installed",
    "installed_names",
    "interpreters",
    "off_by_default",
]
