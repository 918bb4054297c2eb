from collections.abc import Mapping, Sequence

import pytest
from attrs import evolve, field, frozen

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import check_model_source

MODEL = ModelInfo(id="m", format="f")


@frozen
class Source:
    listed: Sequence[ModelInfo] = (MODEL,)
    found: Mapping[str, ModelInfo] = field(factory=lambda: {"m": MODEL})
    any_name: bool = False

    def models(self) -> Sequence[ModelInfo]:
        return self.listed

    def find(self, model_id: str) -> ModelInfo | None:
        if ".." in model_id:
            raise InvalidRequest("no")
        return MODEL if self.any_name else self.found.get(model_id)


def test_a_sound_model_source_passes() -> None:
    check_model_source(Source())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source(listed=[MODEL, MODEL]), "repeated ids"),
        (Source(found={}), "lists m but does not find it"),
        (Source(found={"m": evolve(MODEL, id="other")}), "lists m but does not find it"),
        (Source(any_name=True), "claims to have a model"),
        (Source(found={"m": evolve(MODEL, format="")}), "has no format"),
    ],
)
def test_an_unsound_model_source_is_found_out(source: Source, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_model_source(source)
