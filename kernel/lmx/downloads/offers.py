"""Downloads that wait for a yes, each behind a token that works once and not for long."""

import secrets
from collections.abc import Callable

from attrs import define, field, frozen

from lmx_hookspecs import DownloadRequest, LoadOptions, RemoteModel
from lmx_hookspecs.errors import NotFound

LIFETIME_S = 600.0
KEPT_OFFERS = 100


@frozen
class Offer:
    """What would be downloaded, and how it would be loaded then."""

    request: DownloadRequest
    load: LoadOptions | None
    remote: RemoteModel
    made_at_s: float


@define(eq=False)
class Offers:
    """The latest offers; an expired one is kept as long as a newer one would be, so that we can say what happened."""

    _clock_s: Callable[[], float]
    """Monotonic."""
    _by_token: dict[str, Offer] = field(factory=dict, init=False)

    def make(self, request: DownloadRequest, load: LoadOptions | None, remote: RemoteModel) -> str:
        """A new token for this."""
        token = f"dl-{secrets.token_urlsafe(16)}"
        self._by_token[token] = Offer(request, load, remote, self._clock_s())
        for oldest in list(self._by_token)[:-KEPT_OFFERS]:
            del self._by_token[oldest]
        return token

    def take(self, token: str) -> Offer:
        """What the token stands for, which it then no longer does. Raises NotFound."""
        offer = self._by_token.pop(token, None)
        if offer is None:
            raise NotFound(
                "no download waits for this token: it was used already, has expired long ago, or never was one; "
                "ask for the model again",
                code="token_not_found",
                param="confirmation_token",
            )
        if self._clock_s() - offer.made_at_s > LIFETIME_S:
            raise NotFound(
                f"the token for {offer.request.repo_id} has expired: it works for {LIFETIME_S:.0f} seconds; "
                "ask for the model again",
                code="token_expired",
                param="confirmation_token",
            )
        return offer
