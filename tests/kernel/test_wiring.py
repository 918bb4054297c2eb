"""From what the plugins offer to what could be loaded."""

from pathlib import Path

import pytest

from lmx.models.catalogue import Catalogue
from lmx.plugins import discover
from lmx.wiring import backends_of
from lmx_hookspecs import Capability, ModelInfo
from plugin_folder import PluginFolder

OFFERS = """
    def backend(name, score):
        chat = frozenset({Capability.CHAT})
        return BackendSpec(
            name=name, level="text", formats=frozenset({"shared"}), capabilities=chat, load=None, score=score
        )

    @hookimpl
    def lmx_backends():
        return [backend("weak", 1)]

    @hookimpl
    def lmx_rerankers():
        return [RerankerSpec(name="order", formats=frozenset({"shared", "ranked"}), load=None)]
"""


def test_rerankers_stand_among_the_backends_and_take_no_model_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PluginFolder(tmp_path, monkeypatch)
    folder.add("ant", OFFERS)

    catalogue = Catalogue({}, backends_of(discover((), folder.entries).collect()))

    chosen = catalogue.backend_for(ModelInfo(id="r", format="ranked"))
    assert (chosen.plugin, chosen.spec.name) == ("ant", "order")
    assert chosen.spec.capabilities == frozenset({Capability.RERANK})
    assert catalogue.backend_for(ModelInfo(id="s", format="shared")).spec.name == "weak"
