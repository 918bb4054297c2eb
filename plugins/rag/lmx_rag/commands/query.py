"""`lmx rag query`: searches collections."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import CommandContext, CommandOutput, ServerClient
from lmx_rag.commands.json_objects import json_object
from lmx_rag.commands.paths import DEFAULT_COLLECTION

MODES = ("vector", "keyword", "hybrid")
SHOWN_CHARS = 400
FILTER_HELP = 'on metadata: {"type": "eq", "key": "author", "value": "Ada"}'


class Query:
    """Search, and print what was found."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("text", help="what to search for")
        parser.add_argument("-c", "--collection", action="append", metavar="NAME", help="where to search; repeatable")
        parser.add_argument("--mode", choices=MODES, default="hybrid", help="default: hybrid")
        parser.add_argument("-k", "--top-k", type=int, default=5, metavar="N", help="how many hits to show (5)")
        parser.add_argument("--rerank", action="store_true", help="reorder what was found with a reranker")
        parser.add_argument("--rerank-model", metavar="MODEL", help="that reranker (default: rag.reranker_model)")
        parser.add_argument("--filter", type=json_object, metavar="JSON", help=FILTER_HELP)
        parser.add_argument("--full", action="store_true", help="print whole chunks, not only how they begin")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Ask, and print the hits, best first."""
        answer = _asked(args, context.server(args.url))
        if args.json:
            context.output.write_json(answer)
            return 0
        for warning in answer["warnings"]:
            context.output.warn(warning)
        for rank, hit in enumerate(answer["results"], 1):
            _show(context.output, rank, hit, full=args.full)
        if not answer["results"]:
            context.output.write("nothing was found; `lmx rag collections` lists what there is")
        return 0


def _asked(args: Namespace, server: ServerClient) -> Mapping[str, Any]:
    """The best hits of all collections, by their scores."""
    names = list(dict.fromkeys(args.collection or [DEFAULT_COLLECTION]))
    answers = {name: server.post("/v1/rag/query", {"collection": name, **_body(args)}) for name in names}
    hits = [{"collection": name, **hit} for name, answer in answers.items() for hit in answer["results"]]
    return {
        "query": args.text,
        "collections": names,
        "results": sorted(hits, key=lambda hit: -hit["score"])[: args.top_k],
        "warnings": [warning for answer in answers.values() for warning in answer.get("warnings", ())],
    }


def _body(args: Namespace) -> Mapping[str, Any]:
    body: dict[str, Any] = {"query": args.text, "search_mode": args.mode, "top_k": args.top_k}
    if args.filter is not None:
        body["filter"] = args.filter
    if args.rerank or args.rerank_model:
        body |= {"rerank": True, "rerank_final_k": args.top_k}
    if args.rerank_model:
        body["rerank_model"] = args.rerank_model
    return body


def _show(output: CommandOutput, rank: int, hit: Mapping[str, Any], *, full: bool) -> None:
    headings = [heading for heading in (hit["title"], hit["section"]) if heading and heading != hit["document_id"]]
    output.write(f"{rank}. {hit['score']:.4f}  {hit['collection']}: {' | '.join([hit['document_id'], *headings])}")
    text = hit["text"] if full else _beginning(hit["text"])
    for line in text.splitlines():
        output.write(f"   {line}".rstrip())
    output.write()


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARS else words[:SHOWN_CHARS].rsplit(" ", 1)[0] + " …"
