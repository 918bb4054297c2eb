"""Keys of plugin `responses`."""

from attrs import frozen

from lmx_hookspecs import option

MIB = 2**20
DAY_S = 86_400


@frozen(kw_only=True)
class ResponsesConfig:
    """What is kept in `$LMX_HOME/responses.db`, and how files are searched."""

    max_responses: int = option(10_000, "responses that are kept; the oldest go first", ge=1, le=1_000_000)
    max_bytes: int = option(
        256 * MIB, "bytes of all responses that are kept, with what was asked; the oldest go first", ge=64 * 1024
    )
    ttl_s: float = option(30.0 * DAY_S, "seconds that a response is kept", gt=0, le=3650 * DAY_S)
    max_background: int = option(
        32, "responses that may be made, or wait, in the background; beyond that one is answered 429", ge=0, le=10_000
    )
    file_search_rounds: int = option(
        4, "rounds of searches that a model may ask for before it has to answer", ge=1, le=64
    )
    file_search_tokens: int = option(
        4096, "tokens of excerpts that one search may put into a prompt, by the embedder's tokenizer", ge=64
    )
    file_search_first: bool = option(
        False, "search for what the user said before the model begins, instead of leaving the call to it"
    )
    replay_bytes: int = option(
        16 * MIB, "bytes of events of ended background responses, for clients that come back to a stream", ge=0
    )
