"""A remote API that reranks, over HTTP: one request at a time, within limits of time and size.

rerankers has a client too, which waits for ever, takes an answer that reports an error for one without results, and
has every document sent back.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from attrs import define, field

from lmx_hookspecs.errors import EngineFailed
from lmx_rerank.config import RerankModel
from lmx_rerank.providers import PROVIDERS, STANDARD, Provider, tokens_of
from lmx_rerank.refusals import refusal

DOCUMENTS = 1000
"""In one request, unless the configuration says otherwise: what all of these APIs take."""
LARGEST_ANSWER_BYTES = 64 * 2**20
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What it may raise to read a stranger's answer."""


@define(eq=False)
class Api:
    """A Reranker that asks somebody else."""

    model: str
    url: str
    provider: Provider
    client: httpx.Client
    timeout_s: float
    batch_size: int = DOCUMENTS
    clock: Callable[[], float] = time.monotonic
    _tokens: int | None = field(default=None, init=False)

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """What the API says; raises what its refusal means."""
        answer = self._ask(self.provider.body(self.model, query, documents))
        try:
            scores = self.provider.scores(answer, len(documents))
        except NONSENSE as error:
            raise EngineFailed(f"{self.url} sent a ranking that nobody can read: {error}") from None
        self._tokens = tokens_of(answer)
        return scores

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:  # noqa: ARG002  the API has counted
        """What the last answer said."""
        return self._tokens

    def describe(self) -> Mapping[str, Any]:
        """Who is asked, without the key."""
        return {"url": self.url, "model": self.model}

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _ask(self, body: Mapping[str, Any]) -> Any:
        try:
            with self.client.stream("POST", self.url, json=body) as response:
                data = self._read(response)
        except httpx.HTTPError as error:
            raise EngineFailed(f"{self.url} does not answer: {type(error).__name__}: {error}") from None
        if response.status_code != 200:
            raise refusal(self.url, response.status_code, response.headers, data)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise EngineFailed(f"{self.url} answered with something that is not JSON") from None

    def _read(self, response: httpx.Response) -> bytes:
        """All of it: httpx limits each wait, not the sum of all."""
        until_s, data = self.clock() + self.timeout_s, bytearray()
        for part in response.iter_bytes():
            data += part
            if len(data) > LARGEST_ANSWER_BYTES:
                raise EngineFailed(f"{self.url} sent more than {LARGEST_ANSWER_BYTES} bytes, and was given up")
            if self.clock() > until_s:
                raise EngineFailed(f"{self.url} took longer than {self.timeout_s:g} s to answer, and was given up")
        return bytes(data)


def api_of(entry: RerankModel, environment: Mapping[str, str] | None = None) -> Api:
    """That of an entry of the configuration; nobody is asked anything yet."""
    provider = PROVIDERS[entry.provider] if entry.provider else STANDARD
    timeout_s = entry.timeout_s or 30.0
    key = _key(entry, os.environ if environment is None else environment)
    return Api(
        model=entry.name or "",
        url=entry.url or provider.url,
        provider=provider,
        client=httpx.Client(timeout=timeout_s, headers={"Authorization": f"Bearer {key}"} if key else {}),
        timeout_s=timeout_s,
        batch_size=entry.batch_size or DOCUMENTS,
    )


def _key(entry: RerankModel, environment: Mapping[str, str]) -> str | None:
    if entry.api_key is not None or entry.api_key_env is None:
        return entry.api_key
    key = environment.get(entry.api_key_env)
    if not key:
        raise EngineFailed(f"the environment variable {entry.api_key_env} holds no key; set it where lmx is started")
    return key
