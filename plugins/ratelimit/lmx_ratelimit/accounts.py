"""Who has used how much: an account for each API key or client, as many as are bounded."""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice

from attrs import define, field

from lmx_ratelimit.bucket import Bucket, Limit
from lmx_ratelimit.config import KeyLimits, RateLimitConfig

MAX_ACCOUNTS = 10_000
"""Beyond this, whoever has been away for longest is forgotten: clients without keys make up their names."""
LONGEST_DEBT_S = 3600.0
"""Beyond what was saved up, no single charge takes more than comes in so many seconds."""
REQUESTS, TOKENS = "requests", "tokens"


@define(eq=False)
class Account:
    """What one holder has left: a bucket for each unit that is limited."""

    key: str | None
    """The holder's API key, if it has one."""
    buckets: dict[str, Bucket] = field(factory=dict)

    def shortage(self, now_s: float) -> tuple[str, float] | None:
        """What there is too little of for a request, and for how many seconds; None where there is enough."""
        short, longest_s = "", 0.0
        for unit, bucket in self.buckets.items():
            wait_s = bucket.wait_s(now_s)
            if wait_s > longest_s:
                short, longest_s = unit, wait_s
        return (short, longest_s) if short else None

    def charge(self, unit: str, amount: float, now_s: float) -> None:
        """Use up so much, and owe what is not there, up to a bound: nobody is locked out for good by one request."""
        if unit in self.buckets:
            bucket = self.buckets[unit]
            bucket.take(min(amount, bucket.limit.burst + LONGEST_DEBT_S * bucket.limit.per_s), now_s)

    def refit(self, limits: Mapping[str, Limit], now_s: float) -> None:
        """These limits from now on."""
        for unit, limit in limits.items():
            if unit in self.buckets:
                self.buckets[unit].refit(limit, now_s)
        self.buckets = {unit: self.buckets.get(unit) or Bucket(limit, now_s) for unit, limit in limits.items()}


@define(eq=False)
class Accounts:
    """The accounts of those who were here lately."""

    config: RateLimitConfig
    max_accounts: int = MAX_ACCOUNTS
    _accounts: OrderedDict[str, Account] = field(factory=OrderedDict)
    """By the holder's name; who came last is last."""

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def limited(self) -> bool:
        """Whether anybody is."""
        return bool(self._limits(None)) or any(self._limits(key) for key in self.config.keys)

    def of(self, key: str | None, client: str | None, now_s: float) -> Account | None:
        """The account of a request's holder, a new one if need be; None for one without limits."""
        name = holder_of(key, client)
        account = self._accounts.get(name)
        if account is None:
            account = self._open(name, key, now_s)
        else:
            self._accounts.move_to_end(name)
        return account if account.buckets else None

    def known(self, key: str | None, client: str | None) -> Account | None:
        """The account of a request's holder, if there is one."""
        return self._accounts.get(holder_of(key, client))

    def reconfigure(self, config: RateLimitConfig, now_s: float) -> None:
        """Other limits from now on, for everybody."""
        self.config = config
        for account in self._accounts.values():
            account.refit(self._limits(account.key), now_s)

    def latest(self, count: int, now_s: float) -> Mapping[str, Mapping[str, float]]:
        """What those have left who came last, by name."""
        newest = islice(reversed(self._accounts.items()), count)
        return {
            name: {unit: round(bucket.level(now_s), 1) for unit, bucket in account.buckets.items()}
            for name, account in newest
        }

    def _open(self, name: str, key: str | None, now_s: float) -> Account:
        account = self._accounts[name] = Account(key)
        account.refit(self._limits(key), now_s)
        if len(self._accounts) > self.max_accounts:
            self._accounts.popitem(last=False)
        return account

    def _limits(self, key: str | None) -> dict[str, Limit]:
        own: KeyLimits | RateLimitConfig = self.config if key is None else self.config.keys.get(key, self.config)
        per_minute = {REQUESTS: own.requests_per_minute, TOKENS: own.tokens_per_minute}
        return {unit: Limit.of(rate, self.config.burst_s) for unit, rate in per_minute.items() if rate is not None}


def holder_of(key: str | None, client: str | None) -> str:
    """Whose account it is: with a key, what the client calls itself counts for nothing, as it is free to choose."""
    if key is not None:
        return f"key:{key}"
    return "anonymous" if client is None else f"client:{client}"
