"""The keys of plugin `rerank`: which models there are beside those in the model folders, and how they are run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import Attribute, evolve, frozen

from lmx_hookspecs import option
from lmx_hookspecs.model_kinds import CROSS_ENCODER

API = "api"
FORMAT_OF: Mapping[str, str] = {
    CROSS_ENCODER: CROSS_ENCODER,
    "colbert": "colbert",
    "flashrank": "flashrank",
    API: "rerank-api",
}
"""By the type of a model; none of these formats is one that an engine opens."""
FORMATS = frozenset(FORMAT_OF.values())
TORCH_FORMATS = frozenset({CROSS_ENCODER, "colbert"})
HUB_TYPES = frozenset({CROSS_ENCODER, "colbert"})
"""Types of which the hub's cache may hold the files."""

Device = Literal["cpu", "cuda", "mps"]
Dtype = Literal["float32", "float16", "bfloat16"]
Provider = Literal["cohere", "jina", "voyage", "mixedbread", "tei"]


@frozen(kw_only=True)
class RerankModel:
    """A model that reranks, by the id that it is asked for with."""

    type: Literal["cross-encoder", "colbert", "flashrank", "api"] = option(
        doc="cross-encoder, colbert, flashrank or api", restart=False
    )
    path: Path | None = option(None, "folder with its files", restart=False)
    name: str | None = option(
        None,
        "in place of path, a repository that `lmx pull` has fetched from the hub; of an API, its name for the model",
        min_length=1,
        restart=False,
    )
    provider: Provider | None = option(
        None, "whose API it is; null is any server that answers like /v1/rerank, at url", restart=False
    )
    url: str | None = option(
        None, "the API's whole address, such as http://box:8000/v1/rerank; null is the provider's own", restart=False
    )
    api_key: str | None = option(None, "sent to the API as a bearer token", min_length=1, secret=True, restart=False)
    api_key_env: str | None = option(
        None, "the environment variable that holds it instead", min_length=1, restart=False
    )
    device: Device | None = option(None, "in place of plugins.rerank.device", restart=False)
    dtype: Dtype | None = option(None, "in place of plugins.rerank.dtype", restart=False)
    batch_size: int | None = option(
        None, "in place of plugins.rerank.batch_size; of an API, documents in one request", ge=1, le=4096, restart=False
    )
    max_length: int | None = option(None, "in place of plugins.rerank.max_length", ge=16, le=1_000_000, restart=False)
    timeout_s: float | None = option(None, "in place of plugins.rerank.timeout_s", gt=0, le=100, restart=False)

    @type.validator  # noqa: A003  the attribute above, not the builtin
    def _is_complete(self, attribute: "Attribute[str]", value: str) -> None:
        problem = _problem_of_api(self) if value == API else _problem_of_files(self)
        if problem:
            raise ValueError(problem, attribute)

    @url.validator
    def _is_an_address(self, attribute: "Attribute[str]", value: str | None) -> None:
        if value is None:
            return
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as http://box:8000/v1/rerank", attribute)
        if parts.username or parts.password or parts.query:
            raise ValueError("must hold no user, password or query; a key stands under api_key", attribute)


@frozen(kw_only=True)
class RerankConfig:
    """Rerankers: the models, and how they are run unless one says otherwise."""

    models: Mapping[str, RerankModel] = option(
        factory=dict,
        doc="models by the id that requests name: type, and path or name; of an API provider or url, name, api_key",
        restart=False,
    )
    device: Device | None = option(
        None, "what models run on; null is a GPU where torch finds one, else the CPU", restart=False
    )
    dtype: Dtype = option("float32", "the type of the weights once they are loaded", restart=False)
    batch_size: int = option(
        16, "documents that are scored together; a cancelled request ends after so many", ge=1, le=4096, restart=False
    )
    max_length: int | None = option(
        None,
        "tokens of query and document together, cut off beyond; null is what the model takes",
        ge=16,
        restart=False,
    )
    timeout_s: float = option(30.0, "seconds that one request to an API may take", gt=0, le=100, restart=False)

    def of(self, model_id: str, format: str) -> RerankModel:
        """What holds for a model: its entry, or that of a folder that was found, with the general keys filled in."""
        entry = self.models.get(model_id) or _found(format)
        general = ("device", "dtype", "max_length", "timeout_s")
        given: dict[str, Any] = {name: getattr(self, name) for name in general if getattr(entry, name) is None}
        if entry.batch_size is None and entry.type != API:
            given["batch_size"] = self.batch_size
        return evolve(entry, **given)


def _found(format: str) -> RerankModel:
    """For a model that stands in no configuration; where it lies, its source has told."""
    kinds: Mapping[str, Any] = {made: kind for kind, made in FORMAT_OF.items()}
    return RerankModel(type=kinds[format], path=Path())


def _problem_of_api(model: RerankModel) -> str | None:
    if model.path is not None:
        return "is api, and has a path: an API has no files here"
    if model.name is None:
        return "is api: name has to say what the API calls the model"
    if model.provider is None and model.url is None:
        return "is api: provider or url has to say who is asked"
    if model.provider == "tei" and model.url is None:
        return "is api, of text-embeddings-inference: url has to say where that runs"
    return None


def _problem_of_files(model: RerankModel) -> str | None:
    if model.provider or model.url or model.api_key or model.api_key_env:
        return f"is {model.type}, which runs here: provider, url and keys belong to type api"
    if model.type not in HUB_TYPES and model.name is not None:
        return f"is {model.type}: path has to name the folder with its files, which no hub's cache holds"
    if (model.path is None) == (model.name is None):
        return f"is {model.type}: either path or name has to say where its files are"
    return None
