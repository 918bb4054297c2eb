import pytest

from lmx_hookspecs import GenerationRequest, Message, ModelInfo, ModelState, ModelStatus, Piece
from lmx_hookspecs.errors import ModelNotFound
from lmx_hookspecs.testing import FakeContext, FakeServices

MODEL = ModelInfo(id="m", format="f")


async def test_fake_services_answer_with_the_given_pieces_and_keep_the_request() -> None:
    services = FakeServices(pieces=[Piece(text="hi"), Piece(finish_reason="stop")])
    request = GenerationRequest(model="m", messages=[Message(role="user", content="x")])

    generation = await services.generate(request)
    text = "".join([piece.text async for piece in generation])
    await generation.aclose()

    assert (text, services.requests, services.generations[0].closed) == ("hi", [request], True)


async def test_fake_models_load_and_unload() -> None:
    services = FakeServices()
    services.models.statuses["m"] = ModelStatus(info=MODEL, state=ModelState.ON_DISK)

    loaded = await services.models.load("m")
    await services.models.unload("m")

    assert loaded.state is ModelState.READY
    assert [status.state for status in await services.models.list()] == [ModelState.ON_DISK]
    with pytest.raises(ModelNotFound):
        await services.models.get("n")


async def test_a_fake_context_remembers_what_it_was_told() -> None:
    context = FakeContext(config=3)

    context.log.warning("odd", count=2)
    context.services.events.publish("loaded", {"model": "m"})
    context.services.metrics.counter("requests", "Requests.", ["model"]).inc(model="m")

    assert context.log.lines == [("warning", "odd", {"count": 2})]
    assert [event async for event in context.services.events.subscribe()] == [(0, "loaded", {"model": "m"})]
    assert context.services.metrics.instruments["requests"].values == {(("model", "m"),): [1]}
