"""`lmx chat`: one question, or a conversation in the terminal."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from lmx.commands.client import some_server
from lmx.commands.conversation import AUTO, Conversation
from lmx.commands.output import flush, warn, write, write_json
from lmx_hookspecs import CommandContext, LmxError
from lmx_hookspecs.errors import InvalidRequest

HELP = "/clear forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C stops an answer"
PIPED = "-"
PARAMETERS = ("temperature", "top_p", "max_tokens", "seed")
CONTROL: Mapping[int, None] = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
"""Control characters but tab and line feed: a model's answer must not steer the terminal."""


class Chat:
    """Asks a running server, or one of its own."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "message",
            nargs="?",
            help="what to say; - reads it from standard input; without it, a conversation, or what is piped in",
        )
        parser.add_argument("-m", "--model", default=AUTO, help="id of the model (default: the server's choice)")
        parser.add_argument("-s", "--system", help="the system message")
        parser.add_argument("--temperature", type=float, help="0 always takes the likeliest token")
        parser.add_argument("--top-p", type=float, help="draw from the likeliest tokens of this total probability")
        parser.add_argument("--max-tokens", type=int, help="the longest answer, in tokens")
        parser.add_argument("--seed", type=int, help="makes the draw repeatable")
        parser.add_argument("--url", help="the server to ask (default: the configured one, else one of its own)")
        parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
        parser.add_argument("--json", action="store_true", help="print the whole answer of the API as JSON")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Say it and print the answer."""
        message = _message(args.message)
        if args.json and message is None:
            raise InvalidRequest("--json needs a message: there is no conversation in JSON")
        with some_server(context, args.url) as server:
            conversation = Conversation(
                server=server, model=args.model, system=args.system, parameters=_parameters(args)
            )
            if message is None:
                _converse(conversation, stream=not args.no_stream)
            elif args.json:
                write_json(conversation.answer(message))
            else:
                _say(conversation, message, stream=not args.no_stream)
        return 0


def _parameters(args: Namespace) -> dict[str, Any]:
    given = {name: getattr(args, name) for name in PARAMETERS}
    return {name: value for name, value in given.items() if value is not None}


def _message(argument: str | None) -> str | None:
    """The argument; without one, or for `-`, what is piped in; None on a terminal without an argument."""
    if argument is None and sys.stdin.isatty():
        return None
    said = sys.stdin.buffer.read() if argument is None or argument == PIPED else os.fsencode(argument)
    message = _text(said)
    if not message:
        raise InvalidRequest("there is nothing to say: give a message, or pipe one in")
    return message


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InvalidRequest("the message is not UTF-8 text; `iconv` converts it") from None


def _say(conversation: Conversation, message: str, *, stream: bool) -> None:
    if stream:
        with closing(conversation.stream(message)) as pieces:
            for text in pieces:
                write(_safe(text), end="")
                flush()
        write()
    else:
        write(_safe(conversation.answer(message)["choices"][0]["message"].get("content") or ""))
    for note in conversation.notes:
        warn(note)


def _converse(conversation: Conversation, *, stream: bool) -> None:
    with suppress(ImportError):
        import readline  # noqa: F401  gives `input` its editing and history, where Python was built with it
    write(f"{conversation.model} at {conversation.server.url}: {HELP}")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            write()
            return
        except KeyboardInterrupt:
            write()
            continue
        if line == "/exit":
            return
        _take(conversation, line, stream=stream)


def _take(conversation: Conversation, line: str, *, stream: bool) -> None:
    if line == "/clear":
        conversation.clear()
    elif line.startswith("/"):
        write(HELP)
    elif line:
        try:
            _say(conversation, line, stream=stream)
        except KeyboardInterrupt:
            write(" [stopped]")
        except LmxError as error:
            warn(error.message)


def _safe(text: str) -> str:
    return text.translate(CONTROL) if sys.stdout.isatty() else text
