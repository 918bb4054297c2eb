"""What was counted since the start, as Prometheus text and as a JSON summary."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, Request, Response, Sample, TextResponse

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
TOTALS: Mapping[str, str] = {
    "total_requests": "lmx_requests_total",
    "total_errors": "lmx_errors_total",
    "total_stream_requests": "lmx_stream_requests_total",
    "total_prompt_tokens": "lmx_prompt_tokens_total",
    "total_cached_prompt_tokens": "lmx_cached_prompt_tokens_total",
    "total_completion_tokens": "lmx_completion_tokens_total",
}
SHARES: Mapping[str, str] = {"requests": "requests", "errors": "errors", "completion_tokens": "tokens"}
"""Of one model or client: the field, and the middle of the counter's name."""


@frozen(kw_only=True)
class Share:
    """What one model or client has of the totals."""

    requests: int
    errors: int
    completion_tokens: int


@frozen(kw_only=True)
class MetricsSummary:
    """The totals since the start; beyond a bound, further clients are counted together as `other`."""

    total_requests: int
    total_errors: int
    total_stream_requests: int
    total_prompt_tokens: int
    total_cached_prompt_tokens: int
    total_completion_tokens: int
    per_model: Mapping[str, Share]
    per_client: Mapping[str, Share]
    uptime_seconds: float


async def page(ctx: Context, _request: Request) -> Response:
    """The Prometheus page."""
    return TextResponse(body=ctx.services.metrics.render().decode(), content_type=PROMETHEUS_TEXT)


async def summary(ctx: Context, _request: Request) -> Response:
    """The totals."""
    samples = ctx.services.metrics.samples(*TOTALS.values(), *_names("model"), *_names("client"))
    totals = {name: _total(samples, counter) for name, counter in TOTALS.items()}
    return reply(
        MetricsSummary(
            **totals,
            per_model=_shares(samples, "model"),
            per_client=_shares(samples, "client"),
            uptime_seconds=ctx.services.describe().get("uptime_seconds", 0.0),
        )
    )


def _shares(samples: Sequence[Sample], label: str) -> Mapping[str, Share]:
    holders = sorted({sample.labels[label] for sample in samples if label in sample.labels})
    return {
        holder: Share(
            **{
                field: _total([sample for sample in samples if sample.labels.get(label) == holder], name)
                for field, name in zip(SHARES, _names(label), strict=True)
            }
        )
        for holder in holders
    }


def _names(label: str) -> list[str]:
    return [f"lmx_{label}_{middle}_total" for middle in SHARES.values()]


def _total(samples: Sequence[Sample], name: str) -> int:
    return int(sum(sample.value for sample in samples if sample.name == name))
