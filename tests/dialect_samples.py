"""Answers as models of each dialect write them, and what they say."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_dialects.catalogue import DIALECTS
from lmx_hookspecs import DialectSpec, ParserRequest
from lmx_hookspecs.testing import DialectSample

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "detailed": {"type": "boolean"},
        "units": {"type": "string", "enum": ["C", "F"]},
        "extra": {"type": "object"},
    },
    "required": ["city"],
}
TOOLS: Sequence[Mapping[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
    {
        "type": "function",
        "function": {
            "name": "write_file",
            "parameters": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "content": {"type": "string"}, "mode": {"type": "integer"}},
            },
        },
    },
]
ASKED = ParserRequest(tools=TOOLS)
THINKING = ParserRequest(tools=TOOLS, prompt_end="<|im_start|>assistant\n<think>\n")
BERLIN = ("get_weather", {"city": "Berlin", "days": 5})
NOW: tuple[str, Mapping[str, Any]] = ("get_time", {})
CODE = 'print("{}")\n\tif a < b: return "</x>"\n'
WRITTEN = ("write_file", {"path": "a.py", "content": CODE, "mode": 5})


def spec(name: str) -> DialectSpec:
    return next(dialect for dialect in DIALECTS if dialect.name == name)


def sample(
    raw: str, *calls: tuple[str, Mapping[str, Any]], request: ParserRequest = ASKED, **fields: str
) -> DialectSample:
    return DialectSample(raw=raw, calls=calls, request=request, **fields)


HERMES_CODE = '{"path": "a.py", "content": "print(\\"{}\\")\\n\\tif a < b: return \\"</x>\\"\\n", "mode": 5}'
HERMES_BERLIN = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Berlin", "days": 5}}\n</tool_call>'

SAMPLES: Mapping[str, Sequence[DialectSample]] = {
    "hermes": [
        sample("Just text, 1 < 2.\n", text="Just text, 1 < 2.\n"),
        sample(HERMES_BERLIN, BERLIN),
        sample(
            f'Let me look.\n\n{HERMES_BERLIN}\n<tool_call>\n{{"arguments": {{}}, "name": "get_time"}}\n</tool_call>',
            BERLIN,
            NOW,
            text="Let me look.",
        ),
        sample(
            f"<think>\nI need\nthe weather.\n</think>\n\nWell: {HERMES_BERLIN} Done.",
            BERLIN,
            text="Well:Done.",
            reasoning="I need\nthe weather.",
        ),
        sample(f"Hm.\n</think>\n{HERMES_BERLIN}", BERLIN, reasoning="Hm.", request=THINKING),
        sample("Never ending <tool thought\n", reasoning="Never ending <tool thought\n", request=THINKING),
        sample(
            f'<tool_call>{{"name": "write_file", "arguments": {HERMES_CODE}}}</tool_call>',
            WRITTEN,
        ),
        sample(
            '<tool_call>[{"name": "get_time", "arguments": "{}"}, {"type": "function", "function": '
            '{"name": "get_weather", "arguments": {"city": "</tool_call>"}}}]</tool_call>',
            NOW,
            ("get_weather", {"city": "</tool_call>"}),
        ),
        sample(f"{HERMES_BERLIN[:-12]}\n{HERMES_BERLIN}", BERLIN, BERLIN),
    ],
    "qwen3_coder": [
        sample("Text only.", text="Text only."),
        sample(
            "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nBerlin\n</parameter>\n"
            "<parameter=days>\n5\n"
            "</parameter>\n</function>\n</tool_call>",
            BERLIN,
            text="I look.",
        ),
        sample(
            f"<tool_call>\n<function=write_file>\n<parameter=path>\na.py\n</parameter>\n<parameter=content>\n{CODE}\n"
            "</parameter>\n<parameter=mode>\n5\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
            "<function=get_time>\n</function>\n</tool_call>",
            WRITTEN,
            NOW,
        ),
        sample(
            "<tool_call>\n<function=write_file>\n<parameter=content>\n<tool_call></parameter></tool_call>\n"
            "</parameter>\n</function>\n</tool_call>",
            ("write_file", {"content": "<tool_call></parameter></tool_call>"}),
        ),
        sample(
            "<function=get_weather>\n<parameter=city>\n5\n</parameter>\n</function>", ("get_weather", {"city": "5"})
        ),
    ],
    "glm": [
        sample(
            "<think>Look.</think>\nYes.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Berlin</arg_value>\n"
            "<arg_key>days</arg_key>\n<arg_value>5</arg_value>\n</tool_call>",
            BERLIN,
            reasoning="Look.",
            text="Yes.",
        ),
        sample(
            f"<tool_call>write_file<arg_key>path</arg_key><arg_value>a.py</arg_value><arg_key>content</arg_key><arg_value>"
            f"{CODE}\n</arg_value><arg_key>mode</arg_key><arg_value>5</arg_value></tool_call><tool_call>get_time</tool_call>",
            WRITTEN,
            NOW,
        ),
    ],
    "minimax": [
        sample(
            '<think>\nHm.\n</think>\n\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Berlin'
            '</parameter>\n<parameter name="days">5</parameter>\n</invoke>\n<invoke name="get_time">\n</invoke>\n'
            "</minimax:tool_call>",
            BERLIN,
            NOW,
            reasoning="Hm.",
        ),
    ],
    "llama_json": [
        sample('{"name": "get_weather", "parameters": {"city": "Berlin", "days": 5}}', BERLIN),
        sample(
            '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Berlin", "days": 5}}; '
            '{"name": "get_time", "parameters": {}}',
            BERLIN,
            NOW,
        ),
        sample('{"answer": [1, 2]}\n', text='{"answer": [1, 2]}\n'),
        sample('{"name": "Ada"}', text='{"name": "Ada"}', request=ParserRequest()),
        sample(' {not json} "at" all', text=' {not json} "at" all'),
    ],
    "pythonic": [
        sample('[get_weather(city="Berlin", days=5), get_time()]', BERLIN, NOW),
        sample(
            '<|tool_call_start|>[get_weather(city="a ] \\" )", detailed=true)]<|tool_call_end|>Done.',
            ("get_weather", {"city": 'a ] " )', "detailed": True}),
            text="Done.",
        ),
        sample("<|python_start|>[get_time()]<|python_end|>", NOW),
        sample("[a link](http://x) and (more)", text="[a link](http://x) and (more)"),
        sample("[1, 2, 3]", text="[1, 2, 3]"),
    ],
    "mistral": [
        sample(
            '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Berlin", "days": 5}, "id": "abcdefghi"}, '
            '{"name": "get_time", "arguments": {}}]',
            BERLIN,
            NOW,
        ),
        sample(
            '[THINK]Hm.[/THINK]Well.[TOOL_CALLS]get_weather[ARGS]{"city": "Berlin", "days": 5}[TOOL_CALLS]get_time'
            "[CALL_ID]abcdefghi[ARGS]{}",
            BERLIN,
            NOW,
            reasoning="Hm.",
            text="Well.",
        ),
        sample("[TOOL_CALLS]get_time{}", NOW),
    ],
    "deepseek": [
        sample(
            "I call.<｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
            '{"city": "Berlin", "days": 5}\n```<｜tool▁call▁end｜>\n'
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n"
            "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            BERLIN,
            NOW,
            text="I call.",
        ),
        sample(
            "Hm.</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
            '{"city": "Berlin", "days": 5}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
            BERLIN,
            reasoning="Hm.",
            request=THINKING,
        ),
        sample(
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
            '<｜DSML｜parameter name="city" string="true">'
            'Berlin</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">5</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            BERLIN,
        ),
    ],
    "kimi": [
        sample(
            "Fine.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
            '{"city": "Berlin", "days": 5}<|tool_call_end|><|tool_call_begin|>functions.get_time:1'
            "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
            BERLIN,
            NOW,
            text="Fine.",
        ),
        sample("◁think▷Hm.◁/think▷Yes.", reasoning="Hm.", text="Yes."),
    ],
    "gemma": [
        sample(
            '<|channel>thought\nHm.<channel|>Yes.<|tool_call>call:get_weather{city:<|"|>Berlin<|"|>,days:5}<tool_call|>'
            '<|tool_call>call:get_weather{city:<|"|>{a, b}<|"|>,extra:{a:[1,<|"|>x<|"|>,{b:true}]}}<tool_call|>',
            BERLIN,
            ("get_weather", {"city": "{a, b}", "extra": {"a": [1, "x", {"b": True}]}}),
            reasoning="Hm.",
            text="Yes.",
        ),
    ],
    "function_gemma": [
        sample(
            "<start_function_call>call:get_weather{city:<escape>Berlin<escape>,days:5}<end_function_call>",
            BERLIN,
        ),
    ],
    "harmony": [
        sample(
            "<|channel|>analysis<|message|>User asks.<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.get_weather <|constrain|>json<|message|>{"city": "Berlin", "days": 5}<|call|>',
            BERLIN,
            reasoning="User asks.",
        ),
        sample(
            "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant"
            "<|channel|>final<|message|>Hello, *you*!<|return|>",
            reasoning="Easy.",
            text="Hello, *you*!",
        ),
        sample(
            "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant to=functions.get_time"
            "<|channel|>commentary json<|message|>{}<|call|>",
            NOW,
            text="I will look.",
        ),
    ],
    "reasoning": [
        sample("<think>\nHm.\n</think>\n\nYes.", reasoning="Hm.", text="Yes.", request=ParserRequest()),
        sample("Hm.</think>Yes.", reasoning="Hm.", text="Yes.", request=ParserRequest(reasoning="open")),
        sample("<think>Hm.</think>", text="<think>Hm.</think>", request=ParserRequest(reasoning="off")),
    ],
}
