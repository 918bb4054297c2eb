from lmx_hookspecs import GenerationRequest, Message, Sampling, used_fields, without_fields


def request(**changes: object) -> GenerationRequest:
    return GenerationRequest(model="m", messages=[Message(role="user", content="hi")], **changes)  # type: ignore[arg-type]


def test_only_fields_away_from_their_neutral_value_are_used() -> None:
    asked = request(n=2, sampling=Sampling(temperature=0.7, top_k=3))

    assert used_fields(asked) == {"messages", "n", "top_k"}


def test_a_dropped_field_returns_to_its_neutral_value() -> None:
    asked = request(n=2, logprobs=3, sampling=Sampling(top_k=3, seed=1))

    plain = without_fields(asked, ["n", "top_k", "logprobs"])

    assert plain == request(sampling=Sampling(seed=1))
