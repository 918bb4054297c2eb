from typing import Any

from openai import AsyncOpenAI

from http_support import USAGE, FakeServices, data_of, said, serving
from lmx.structure import structure
from lmx_hookspecs import GenerationRequest, Piece, TokenLogprob
from lmx_openai import lmx_surfaces
from lmx_openai.answers import Completion

COMPLETIONS = "/v1/completions"


def answer_each(request: GenerationRequest) -> list[Any]:
    last = request.choices - 1
    return [
        Piece(index=index, text=f"<{index}>", finish_reason="length", usage=USAGE if index == last else None)
        for index in range(request.choices)
    ]


async def ask(services: FakeServices, **fields: Any) -> Any:
    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        return await server.ask("POST", COMPLETIONS, json={"model": "real-model", "prompt": "hi", **fields})


async def test_a_completion_is_answered_to_the_openai_client() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        answer = await client.completions.create(model="real-model", prompt="hi")

    assert answer.id.startswith("cmpl-")
    assert answer.object == "text_completion"
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello world", "stop")


async def test_each_prompt_has_its_choices_in_order() -> None:
    services = FakeServices(script=answer_each)

    answer = await ask(services, prompt=["a", "b"], n=2)

    assert services.asked[0].prompts == ("a", "b")
    assert [(choice["index"], choice["text"]) for choice in answer.json()["choices"]] == [
        (0, "<0>"),
        (1, "<1>"),
        (2, "<2>"),
        (3, "<3>"),
    ]
    assert structure(answer.json(), Completion).choices[3].finish_reason == "length"


async def test_token_ids_are_one_prompt_and_lists_of_them_several() -> None:
    one, several = FakeServices(script=answer_each), FakeServices(script=answer_each)

    await ask(one, prompt=[1, 2])
    await ask(several, prompt=[[1, 2], [3]])

    assert one.asked[0].prompts == ((1, 2),)
    assert several.asked[0].prompts == ((1, 2), (3,))


async def test_echo_suffix_and_logprobs_reach_the_engine() -> None:
    services = FakeServices()

    await ask(services, echo=True, suffix="end", logprobs=0)

    [asked] = services.asked
    assert (asked.echo, asked.suffix, asked.logprobs) == (True, "end", 0)


async def test_a_streamed_completion_is_text_finish_and_done() -> None:
    answer = await ask(FakeServices(), stream=True, stream_options={"include_usage": True})

    *chunks, usage, done = data_of(answer.text.splitlines())
    assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks] == [
        ("Hello", None),
        (" world", None),
        ("", "stop"),
    ]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 2, "[DONE]")


async def test_offsets_of_logprobs_count_characters_across_chunks() -> None:
    tokens = [
        TokenLogprob("Gr", b"Gr", -0.1, (TokenLogprob("Gr", b"Gr", -0.1),)),
        TokenLogprob("\xc3", b"\xc3", -0.2),
        TokenLogprob("\xbc", b"\xbc", -0.3),
        TokenLogprob("n", b"n", -0.4),
    ]

    def script(_: Any) -> list[Any]:
        return [Piece(text="Gr", logprobs=tokens[:1]), Piece(text="ün", logprobs=tokens[1:]), *said("")]

    whole = await ask(FakeServices(script=script), logprobs=1)
    stream = await ask(FakeServices(script=script), logprobs=1, stream=True)

    reported = whole.json()["choices"][0]["logprobs"]
    assert reported["tokens"] == ["Gr", "\xc3", "\xbc", "n"]
    assert reported["token_logprobs"] == [-0.1, -0.2, -0.3, -0.4]
    assert reported["top_logprobs"] == [{"Gr": -0.1}, {}, {}, {}]
    assert reported["text_offset"] == [0, 2, 2, 3]
    streamed = [chunk["choices"][0]["logprobs"] for chunk in data_of(stream.text.splitlines())[:2]]
    assert [part["text_offset"] for part in streamed] == [[0], [2, 2, 3]]
