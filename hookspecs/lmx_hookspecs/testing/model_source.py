"""A model source must find what it lists."""

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.models import ModelSource
from lmx_hookspecs.testing.expectation import expect


def check_model_source(source: ModelSource) -> None:
    """What it lists it also finds, under the same id; what it does not know it does not invent."""
    models = source.models()
    ids = [model.id for model in models]
    expect(all(ids) and len(set(ids)) == len(ids), f"empty or repeated ids: {ids}")
    for model in models:
        found = source.find(model.id)
        if found is None or found.id != model.id:
            raise AssertionError(f"lists {model.id} but does not find it")
        expect(bool(found.format), f"{model.id} has no format: no backend could open it")
    for strange in ("no-such-model/at-all", "../outside"):
        try:
            expect(source.find(strange) is None, f"claims to have a model {strange!r}")
        except InvalidRequest:
            continue  # as good an answer
