"""`lmx rag eval`: how well each kind of search finds what it should."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmx_hookspecs import CommandContext, LmxError, ServerClient
from lmx_hookspecs.errors import InvalidRequest
from lmx_rag.commands.json_objects import json_object
from lmx_rag.commands.judged import CorpusDocument, read_corpus, read_judgements, read_queries
from lmx_rag.commands.metrics import Judgements, answerable, means
from lmx_rag.commands.paths import DEFAULT_COLLECTION
from lmx_rag.commands.rankings import MODES, RERANKED, Asker

BATCH = 50
JOBS = 4


class Eval:
    """Ask all queries in each mode, and compare what is found with the judgements."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("queries", type=Path, metavar="QUERIES", help="lines `id<TAB>text`")
        parser.add_argument("judgements", type=Path, metavar="QRELS", help="lines `query 0 document grade`, as in TREC")
        parser.add_argument("-c", "--collection", default=DEFAULT_COLLECTION, metavar="NAME", help="where to search")
        parser.add_argument(
            "--corpus", type=Path, metavar="FILE", help='ingest first: lines {"id": "…", "title": "…", "text": "…"}'
        )
        parser.add_argument("--mode", action="append", choices=MODES, help="only this one; repeatable")
        parser.add_argument("--rerank-model", metavar="MODEL", help=f"for {RERANKED} (default: rag.reranker_model)")
        parser.add_argument(
            "--options", type=json_object, default={}, metavar="JSON", help='of each query: {"rrf_keyword_weight": 2}'
        )

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Print a table, one row for each mode."""
        queries, judgements = _judged(args)
        server = context.server(args.url)
        if args.corpus:
            _ingest(server, args.collection, read_corpus(args.corpus))
        measured = dict(_measured(args, context, queries, judgements))
        if args.json:
            report = {"collection": args.collection, "queries": len(queries), "modes": measured}
            context.output.write_json(report)
            return 0
        names = list(next(iter(measured.values()))) if measured else []
        rows = [[mode, *(f"{value[name]:.4f}" for name in names)] for mode, value in measured.items()]
        context.output.write_table(["mode", *names], rows)
        context.output.write(f"means of {len(queries)} queries; gains are linear, as in trec_eval")
        return 0


def _judged(args: Namespace) -> tuple[Mapping[str, str], Mapping[str, Judgements]]:
    """The queries that have a relevant document, and their judgements."""
    asked, judgements = read_queries(args.queries), read_judgements(args.judgements)
    wanted = [query for query in answerable(judgements) if query in asked]
    if not wanted:
        raise InvalidRequest(f"{args.judgements} judges no document relevant to a query of {args.queries}")
    return {query: asked[query] for query in wanted}, {query: judgements[query] for query in wanted}


def _measured(
    args: Namespace, context: CommandContext, queries: Mapping[str, str], judgements: Mapping[str, Judgements]
) -> Iterator[tuple[str, Mapping[str, float]]]:
    """The means of each mode; reranking, which needs a model of its own, may fail if nobody asked for it by name."""
    server = context.server(args.url)
    for mode in dict.fromkeys(args.mode or MODES):
        options = {"rerank_model": args.rerank_model} if mode == RERANKED and args.rerank_model else {}
        asker = Asker(server=server, collection=args.collection, mode=mode, options={**args.options, **options})
        try:
            yield mode, means(asker.rankings(queries, JOBS), judgements)
        except LmxError as error:
            if mode != RERANKED or args.rerank_model or args.mode:
                raise
            context.output.warn(f"without {RERANKED}: {error.message}")


def _ingest(server: ServerClient, collection: str, corpus: Iterable[CorpusDocument]) -> None:
    batch: list[CorpusDocument] = []
    for document in corpus:
        batch.append(document)
        if len(batch) == BATCH:
            _send(server, collection, batch)
            batch = []
    if batch:
        _send(server, collection, batch)


def _send(server: ServerClient, collection: str, documents: Sequence[CorpusDocument]) -> None:
    body: Mapping[str, Any] = {
        "collection": collection,
        "documents": [document.text for document in documents],
        "document_ids": [document.id for document in documents],
        "titles": [document.title for document in documents],
        "skip_unchanged": True,
    }
    server.post("/v1/rag/ingest", body)
