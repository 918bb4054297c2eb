"""Structured logs: structlog over the standard library, so that the frameworks' lines look like ours."""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from lmx_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from structlog.typing import Processor


SECRET_FACTS = frozenset(
    {"admin_key", "api_key", "api_keys", "authorization", "password", "secret", "x_admin_key", "x_api_key"}
)
BEARER = re.compile(r"(?i)\b(bearer)\s+\S+")
REDACTED = "[redacted]"


def configure(settings: Any, stream: TextIO | None = None) -> None:
    """Set up the process's logging from the `logging` section: to stderr, and to a rotating file if one is named.

    Raises ConfigError where that file cannot be written.
    """
    facts: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        redact,
        structlog.processors.format_exc_info,
    ]
    _replace_handlers(_handlers(settings, stream or sys.stderr, facts), settings.level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *facts,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def reconfigure(settings: Any) -> None:
    """Take over what may change while the server runs: the level."""
    logging.getLogger().setLevel(settings.level)


def logger(name: str) -> Any:
    """A logger whose lines carry `name`."""
    return structlog.stdlib.get_logger(name)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep secrets out of the log: facts named after one, and bearer tokens inside text."""
    for name, value in event.items():
        if name.lower().replace("-", "_") in SECRET_FACTS:
            event[name] = REDACTED
        elif isinstance(value, str) and "earer " in value:
            event[name] = BEARER.sub(rf"\1 {REDACTED}", value)
    return event


def in_reading_order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When, how bad, what, and then the rest."""
    first = {name: event[name] for name in ("timestamp", "level", "event", "logger") if name in event}
    return {**first, **{name: value for name, value in event.items() if name not in first}}


def _replace_handlers(handlers: Iterable[logging.Handler], level: str) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    # Libraries that narrate at INFO drown what operators look for.
    for chatty in ("hypercorn.error", "hypercorn.access", "quart.app", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _handlers(settings: Any, terminal: TextIO, facts: "Sequence[Processor]") -> list[logging.Handler]:
    on_screen = logging.StreamHandler(terminal)
    on_screen.setFormatter(_formatter(settings.format, facts, people_read=terminal.isatty()))
    if not settings.file:
        return [on_screen]
    in_file = _open_file(settings)
    in_file.setFormatter(_formatter(settings.format, facts, people_read=False))
    return [on_screen, in_file]


def _open_file(settings: Any) -> logging.Handler:
    try:
        path = Path(settings.file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            path, maxBytes=settings.max_file_bytes, backupCount=settings.backup_count, encoding="utf-8"
        )
    except (OSError, RuntimeError, ValueError) as error:  # of the last two: an unknown home, a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"logging.file {str(settings.file)!r} cannot be written: {reason}; name a file in a folder that LMX may "
            "write to, or leave it out"
        ) from error


def _formatter(log_format: str, facts: "Sequence[Processor]", *, people_read: bool) -> logging.Formatter:
    """`auto` is text where people read it, on a terminal."""
    text = log_format == "text" or (log_format == "auto" and people_read)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=facts,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            in_reading_order,
            structlog.dev.ConsoleRenderer(colors=people_read) if text else structlog.processors.JSONRenderer(),
        ],
    )
