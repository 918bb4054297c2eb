"""`lmx keys`: who may use the server."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from lmx.commands.output import warn, write, write_json, write_table
from lmx.http.requests import PRIORITIES
from lmx.keys import FILE, KeyStore, StoredKey
from lmx_hookspecs import CommandContext
from lmx_hookspecs.places import home


class Keys:
    """The subcommands `create`, `list` and `revoke`; a running server takes over what they do."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for name, meaning, run in (
            ("create", "make a key, and show it this once", _create),
            ("list", "every key that was made, without the keys themselves", _list),
            ("revoke", "take a key out of force", _revoke),
        ):
            command = commands.add_parser(name, help=meaning, description=meaning)
            _add_arguments(name, command)
            command.add_argument("--json", action="store_true", help="print JSON")
            command.set_defaults(run=run)

    def run(self, args: Namespace, context: CommandContext) -> int:  # noqa: ARG002  keys are no configuration
        """Run the chosen one."""
        store = KeyStore(home() / FILE)
        if store.make_private():
            warn(f"others could read {store.path}; now they cannot")
        args.run(args, store)
        return 0


def _add_arguments(name: str, parser: ArgumentParser) -> None:
    if name != "list":
        parser.add_argument("name", metavar="NAME", help="whom the key is for")
    if name == "create":
        parser.add_argument("--priority", choices=PRIORITIES, default="high", help="the highest it may ask for (high)")
        parser.add_argument("--admin", action="store_true", help="a key for /admin, sent as X-Admin-Key, not for /v1")


def _create(args: Namespace, store: KeyStore) -> None:
    secret = store.create(args.name, priority=args.priority, admin=args.admin)
    header = "X-Admin-Key: KEY" if args.admin else "Authorization: Bearer KEY"
    if args.json:
        (made,) = (key for key in store.read() if key.name == args.name)
        write_json({**_plain(made), "key": secret, "header": header})
        return
    write(secret)
    warn(f"this is the only time that the key of {args.name} is shown; it is sent as '{header}'")


def _list(args: Namespace, store: KeyStore) -> None:
    keys = [_plain(key) for key in store.read()]
    if args.json:
        write_json({"file": store.path, "keys": keys})
    elif keys:
        write_table(("name", "for", "priority", "created"), [_row(key) for key in keys])
    else:
        write("no keys: `lmx keys create NAME` makes one")


def _revoke(args: Namespace, store: KeyStore) -> None:
    revoked = store.revoke(args.name)
    left = [key for key in store.read() if key.admin == revoked.admin]
    if args.json:
        write_json({**_plain(revoked), "left": len(left)})
        return
    write(f"the key of {args.name} is revoked: a running server refuses it from the next second on")
    if not left:
        opened = _opens(_plain(revoked))
        warn(
            f"it was the last one: unless the configuration sets one, {opened} is now open to every program on this "
            "machine; a server that others can reach stays closed"
        )


def _plain(key: StoredKey) -> Mapping[str, Any]:
    return {"name": key.name, "admin": key.admin, "priority": key.priority, "created": key.created}


def _row(key: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return key["name"], _opens(key), "-" if key["admin"] else key["priority"], key["created"]


def _opens(key: Mapping[str, Any]) -> str:
    return "/admin" if key["admin"] else "/v1"
