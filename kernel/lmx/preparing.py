"""What is done to a request before anybody is chosen to answer it."""

from collections.abc import Sequence

from lmx.canonical import Canonicaliser
from lmx.presets import PresetLibrary, applied
from lmx_hookspecs import GenerationRequest


def prepared(
    request: GenerationRequest, presets: PresetLibrary, canonicaliser: Canonicaliser
) -> tuple[GenerationRequest, Sequence[str]]:
    """What its preset and the canonical form make of a request, and what there is to say of that."""
    preset = presets.named(request.model)
    request, notes = (request, []) if preset is None else applied(preset, request)
    request, changes = canonicaliser.apply(request)
    return request, [*notes, *changes]
