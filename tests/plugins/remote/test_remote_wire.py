from lmx_hookspecs import EmbeddingRequest, GenerationRequest, Message, Sampling
from lmx_remote.wire import embedding_body, generation_body, generation_path
from remote_support import chat

OPEN = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "top_k"})
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def test_what_the_client_left_open_is_left_to_the_node() -> None:
    body = generation_body(chat(open_sampling=OPEN), "theirs")

    assert body == {"model": "theirs", "messages": [{"role": "user", "content": "hello"}], **STREAMED}


def test_what_the_client_set_is_sent_by_its_name() -> None:
    sampling = Sampling(temperature=0.7, top_k=5, seed=1, logit_bias={7: -1.0})
    request = chat(
        sampling=sampling,
        open_sampling=OPEN - {"temperature"},
        n=2,
        max_tokens=9,
        stop=["x"],
        logprobs=0,
        tools=[{"type": "function"}],
        tool_choice="required",
        response_format={"type": "json_object"},
        chat_template_kwargs={"enable_thinking": False},
    )

    body = generation_body(request, "m")

    assert {name: value for name, value in body.items() if name not in {"model", "messages", *STREAMED}} == {
        "temperature": 0.7,
        "top_k": 5,
        "seed": 1,
        "logit_bias": {7: -1.0},
        "n": 2,
        "max_tokens": 9,
        "stop": ["x"],
        "logprobs": True,
        "top_logprobs": 0,
        "tools": [{"type": "function"}],
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_messages_keep_their_calls_and_results() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="4", tool_call_id="c", name="f"),
    ]

    body = generation_body(GenerationRequest(model="m", messages=messages), "m")

    assert body["messages"] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "4", "tool_call_id": "c", "name": "f"},
    ]


def test_a_completion_goes_where_completions_go() -> None:
    one = GenerationRequest(model="m", prompts=[""], echo=True, logprobs=0, open_sampling=OPEN)
    tokens = GenerationRequest(model="m", prompts=[[1, 2]], open_sampling=OPEN)

    assert generation_path(one) == "/v1/completions"
    assert generation_body(one, "m") == {"model": "m", "prompt": "", "echo": True, "logprobs": 0, **STREAMED}
    assert generation_body(tokens, "m")["prompt"] == [1, 2]


def test_one_input_is_sent_alone_and_several_as_a_list() -> None:
    one = embedding_body(EmbeddingRequest(model="m", inputs=[[1, 2]]), "m", "float")
    several = embedding_body(EmbeddingRequest(model="m", inputs=["a", "b"], dimensions=8), "m", "base64")

    assert one == {"model": "m", "input": [1, 2], "encoding_format": "float"}
    assert several == {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8}
