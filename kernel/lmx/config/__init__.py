"""Configuration: `read` what was written, ask it which plugins are off, then `resolve` it against all schemas.

raw = read(config_dir, os.environ, {"server.port": Flag("--port", 8080)})
config = resolve(raw, specs_of_the_plugins, names_of_all_plugins)
config.section("server").port
"""

from lmx.config.files import Flag, RawConfig, find_directory, passed_over, read
from lmx.config.resolve import Config, complaints, resolve
from lmx.config.schema import SECTIONS

__all__ = ["SECTIONS", "Config", "Flag", "RawConfig", "complaints", "find_directory", "passed_over", "read", "resolve"]
