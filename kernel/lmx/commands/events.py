"""`lmx events`: what happens in a running server, as it happens."""

import json
import time
from argparse import ArgumentParser, Namespace
from datetime import datetime
from urllib.parse import quote

from lmx.commands.client import Server, add_server_options, server_at
from lmx.commands.output import flush, warn, write
from lmx.commands.sse import Event
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import Unavailable

PATH = "/admin/events"
PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
QUIET = frozenset({"heartbeat"})


class Events:
    """Print events until Ctrl-C; a connection that breaks is made again, and nothing is missed that is still kept."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--types", help="only these types, with commas between them")
        parser.add_argument("--after", metavar="ID", help="begin behind this event, as far as events are kept")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Follow the events."""
        server = server_at(context, args.url)
        path = f"{PATH}?types={quote(args.types)}" if args.types else PATH
        Follower(server, path, args.after, as_json=args.json).run()
        return 0


class Follower:
    """Reads events, and comes back where the server went away."""

    def __init__(self, server: Server, path: str, after: str | None, *, as_json: bool) -> None:
        self._server, self._path, self._after, self._as_json = server, path, after, as_json
        self._connected = False
        self._pause_s = PAUSE_S

    def run(self) -> None:
        """Until interrupted; raises LmxError where the first connection fails."""
        while True:
            try:
                self._read()
                reason = "the server ended the stream"
            except Unavailable as error:
                if not self._connected:
                    raise
                reason = error.message
            warn(f"{reason}; trying again in {self._pause_s:g} s")
            time.sleep(self._pause_s)
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    def _read(self) -> None:
        with self._server.subscribed(self._path, self._after) as events:
            self._connected, self._pause_s = True, PAUSE_S
            for event in events:
                self._after = event.id or self._after
                if event.type not in QUIET:
                    write(_as_json(event) if self._as_json else _as_line(event))
                    flush()


def _as_json(event: Event) -> str:
    return json.dumps({"id": event.id, "type": event.type, "data": json.loads(event.data)}, ensure_ascii=False)


def _as_line(event: Event) -> str:
    facts = " ".join(f"{name}={_short(value)}" for name, value in json.loads(event.data).items())
    return f"{datetime.now().astimezone():%H:%M:%S}  {event.type:<20}  {facts}"


def _short(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)
