"""Structured logs: structlog over the standard library, so that the frameworks' lines look like ours."""

import logging
import re
import sys
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor


SECRET_FACTS = frozenset(
    {"admin_key", "api_key", "api_keys", "authorization", "password", "secret", "x_admin_key", "x_api_key"}
)
BEARER = re.compile(r"(?i)\b(bearer)\s+\S+")
REDACTED = "[redacted]"


def configure(settings: Any, stream: TextIO | None = None) -> None:
    """Set up the process's logging from the `logging` section: to stderr, and to a rotating file if one is named."""
    terminal = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        redact,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.setLevel(settings.level)
    # Libraries that narrate at INFO drown what operators look for.
    for chatty in ("hypercorn.error", "hypercorn.access", "quart.app", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for handler, colors in _handlers(settings, terminal):
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    in_reading_order,
                    _renderer(settings.format, terminal, colors=colors),
                ],
            )
        )
        root.addHandler(handler)


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


def _handlers(settings: Any, terminal: TextIO) -> list[tuple[logging.Handler, bool]]:
    handlers: list[tuple[logging.Handler, bool]] = [(logging.StreamHandler(terminal), terminal.isatty())]
    if settings.file:
        path = Path(settings.file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        rotating = RotatingFileHandler(
            path, maxBytes=settings.max_file_bytes, backupCount=settings.backup_count, encoding="utf-8"
        )
        handlers.append((rotating, False))
    return handlers


def _renderer(log_format: str, terminal: TextIO, *, colors: bool) -> Any:
    text = log_format == "text" or (log_format == "auto" and terminal.isatty())
    if text:
        return structlog.dev.ConsoleRenderer(colors=colors)
    return structlog.processors.JSONRenderer()
