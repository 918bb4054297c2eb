"""The middleware: lets requests in while there is something left for them, and tells every client where it stands."""

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from attrs import define, field

from lmx_hookspecs import Arrival, Context, arrival_of
from lmx_hookspecs.context import Counter
from lmx_hookspecs.errors import Busy
from lmx_hookspecs.http import Asgi
from lmx_ratelimit.accounts import REQUESTS, TOKENS, Account, Accounts
from lmx_ratelimit.config import RateLimitConfig
from lmx_ratelimit.fields import encoded, fields_of

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
KINDS = frozenset({"http", "websocket"})
STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
CHARGED = ("prompt_tokens", "estimated_prompt_tokens", "completion_tokens")
"""Facts of the event; only one of the first two is not 0."""
SHOWN = 20
"""Accounts at `/admin/stack`."""


@define(eq=False)
class Limiter:
    """A request is paid when it comes, its tokens when it has ended: a long answer may leave a debt."""

    accounts: Accounts
    refused_requests: Counter
    clock: Callable[[], float] = time.monotonic
    _limiting: bool = field(init=False)
    _refused: int = 0

    def __attrs_post_init__(self) -> None:
        self._limiting = self.accounts.limited

    def __call__(self, app: Asgi) -> Asgi:
        """Stand around `app`."""

        async def limit(scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
            if self._limiting and scope["type"] in KINDS:
                account = self._admit(arrival_of(scope))
                send = send if account is None else self._telling(account, send)
            await app(scope, receive, send)

        return limit

    async def admit(self, scope: Mapping[str, Any]) -> None:
        """A request that comes over a WebSocket; raises Busy."""
        if self._limiting:
            self._admit(arrival_of(scope))

    def completed(self, facts: Mapping[str, Any]) -> None:
        """A generation has ended: the data of the event `request_completed`."""
        account = self.accounts.known(facts["key"], facts["client"]) if self._limiting else None
        if account is not None:
            account.charge(TOKENS, sum(facts[name] for name in CHARGED), self.clock())

    def reconfigure(self, config: RateLimitConfig) -> None:
        """Other limits from now on; what was used stays used."""
        self.accounts.reconfigure(config, self.clock())
        self._limiting = self.accounts.limited

    def describe(self) -> Mapping[str, Any]:
        """The general limits, and what the latest clients have left."""
        config = self.accounts.config
        return {
            "requests_per_minute": config.requests_per_minute,
            "tokens_per_minute": config.tokens_per_minute,
            "refused": self._refused,
            "accounts": len(self.accounts),
            "latest": self.accounts.latest(SHOWN, self.clock()),
        }

    def _admit(self, arrival: Arrival) -> Account | None:
        """The account that a request was taken off, None for one that is not limited; raises Busy."""
        if not arrival.sheddable:
            return None
        now_s = self.clock()
        account = self.accounts.of(arrival.key, arrival.client, now_s)
        if account is None:
            return None
        shortage = account.shortage(now_s)
        if shortage is not None:
            raise self._refusal(account, *shortage)
        account.charge(REQUESTS, 1, now_s)
        return account

    def _refusal(self, account: Account, unit: str, wait_s: float) -> Busy:
        self._refused += 1
        self.refused_requests.inc(limit=unit)
        whose = "this API key" if account.key is not None else "this client"
        return Busy(
            f"the limit of {unit} per minute is used up for {whose}; try again in {wait_s:.1f} s",
            retry_after_s=wait_s,
            headers=fields_of(account, self.clock()),
        )

    def _telling(self, account: Account, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] in STARTS:
                own = encoded(fields_of(account, self.clock()))
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        return tell


def limiter_of(ctx: Context) -> Limiter:
    """A limiter that hears of every request that has ended."""
    refused = ctx.services.metrics.counter("lmx_rate_limited_requests", "Requests above a rate limit.", ["limit"])
    limiter = Limiter(Accounts(ctx.config), refused)
    ctx.services.events.listen("request_completed", limiter.completed)
    return limiter
