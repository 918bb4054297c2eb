"""The dialects: which tags begin what, and how it is read."""

import re
from collections.abc import Callable

from attrs import define

from lmx_dialects.chats import OpenCall, chat
from lmx_dialects.gemma_calls import function_gemma_calls, gemma_calls
from lmx_dialects.harmony import between_messages
from lmx_dialects.headed_calls import HeadedCall, Section
from lmx_dialects.json_calls import JsonCalls
from lmx_dialects.markup import (
    DEEPSEEK_CALL,
    DEEPSEEK_SECTION,
    DEEPSEEK_SEPARATOR,
    DSML,
    FUNCTION_GEMMA,
    GEMMA,
    GEMMA_THOUGHT,
    HARMONY,
    KIMI_ARGUMENTS,
    KIMI_CALL,
    KIMI_SECTION,
    KIMI_THINK,
    LFM,
    LLAMA4,
    MINIMAX,
    MISTRAL,
    MISTRAL_THINK,
    PYTHON_TAG,
    THINK,
    TOOL_CALL,
)
from lmx_dialects.modes import Machine, Mode, Start
from lmx_dialects.pythonic_calls import BarePythonic, pythonic_calls
from lmx_dialects.sink import Sink
from lmx_dialects.tagged_calls import Call, Read, Schemas, TaggedCalls, anywhere
from lmx_dialects.tags import TagSet
from lmx_dialects.xml_calls import dsml_calls, glm_calls, invoke_calls, qwen_calls
from lmx_hookspecs import DialectParser, ParserRequest

_KIMI_NAME = re.compile(rf"\s*(?:functions\.)?([^\s<]+?)(?::\d+)?\s*{re.escape(KIMI_ARGUMENTS)}\s*")
_DEEPSEEK_NAME = re.compile(
    rf"\s*(?:function\s*{DEEPSEEK_SEPARATOR}\s*(\S+)\s*```(?:json)?|(\S+?)\s*{DEEPSEEK_SEPARATOR})\s*"
)
_MISTRAL_NAME = re.compile(r"\s*([\w.\-]+)\s*(?:\[CALL_ID\][^\[\s]*\s*)?(?:\[ARGS\])?\s*")


def hermes(request: ParserRequest) -> DialectParser:
    """JSON between `<tool_call>` tags: Hermes, Qwen 2.5 and 3, and many others."""
    return chat(request, {TOOL_CALL[0]: _json_block(*TOOL_CALL)}, tags=TOOL_CALL)


def qwen3_coder(request: ParserRequest) -> DialectParser:
    """XML between `<tool_call>` tags, whose first tag the model at times leaves out."""
    calls = {TOOL_CALL[0]: _block(qwen_calls, *TOOL_CALL, _behind("<function=", "</function>"))}
    if request.tools:
        calls["<function="] = _bare_function
    return chat(request, calls, tags=TOOL_CALL)


def glm(request: ParserRequest) -> DialectParser:
    """`<arg_key>` and `<arg_value>` between `<tool_call>` tags."""
    block = _block(glm_calls, *TOOL_CALL, _behind("<arg_key>", "</arg_value>"))
    return chat(request, {TOOL_CALL[0]: block}, tags=TOOL_CALL)


def minimax(request: ParserRequest) -> DialectParser:
    """`<invoke>` between `<minimax:tool_call>` tags."""
    return chat(request, {MINIMAX[0]: _block(invoke_calls, *MINIMAX, _behind("<invoke", "</invoke>"))}, tags=MINIMAX)


def deepseek(request: ParserRequest) -> DialectParser:
    """Sections of calls with a header, of V3 and R1 with fenced JSON; V3.2's XML."""
    calls = {
        **_section(DEEPSEEK_SECTION, DEEPSEEK_CALL, _deepseek_name, trailer="```"),
        DSML[0]: _block(dsml_calls, *DSML, _behind("<｜DSML｜invoke", "</｜DSML｜invoke>")),
    }
    return chat(request, calls, tags=(*DEEPSEEK_SECTION, *DEEPSEEK_CALL, DEEPSEEK_SEPARATOR, *DSML))


def kimi(request: ParserRequest) -> DialectParser:
    """Sections of calls with a header."""
    calls = _section(KIMI_SECTION, KIMI_CALL, _first_group(_KIMI_NAME))
    return chat(request, calls, tags=(*KIMI_SECTION, *KIMI_CALL, KIMI_ARGUMENTS), thinking=(THINK, KIMI_THINK))


def mistral(request: ParserRequest) -> DialectParser:
    """`[TOOL_CALLS]`, then a JSON list or a name with arguments."""
    return chat(request, {MISTRAL[0]: _mistral_call}, tags=MISTRAL, thinking=(MISTRAL_THINK, THINK))


def gemma(request: ParserRequest) -> DialectParser:
    """Gemma 4."""
    return chat(request, {GEMMA[0]: _block(gemma_calls, *GEMMA)}, tags=GEMMA, thinking=(GEMMA_THOUGHT,))


def function_gemma(request: ParserRequest) -> DialectParser:
    """FunctionGemma."""
    calls = {FUNCTION_GEMMA[0]: _block(function_gemma_calls, *FUNCTION_GEMMA)}
    return chat(request, calls, tags=FUNCTION_GEMMA)


def llama_json(request: ParserRequest) -> DialectParser:
    """Llama 3: JSON behind `<|python_tag|>`, or as the whole answer."""
    return chat(request, {PYTHON_TAG: _python_tag}, tags=(PYTHON_TAG,), bare={"{": _bare_json})


def pythonic(request: ParserRequest) -> DialectParser:
    """A list of Python calls: between tags, or as the whole answer."""
    calls = {start: _block(pythonic_calls, start, end) for start, end in (LFM, LLAMA4)}
    return chat(request, calls, tags=(*LFM, *LLAMA4), bare={"[": BarePythonic})


def harmony(request: ParserRequest) -> DialectParser:
    """The channels of gpt-oss."""
    sink = Sink.of(request, TagSet.of(HARMONY))
    return Machine(sink, between_messages(sink))


def reasoning(request: ParserRequest) -> DialectParser:
    """No calls, only reasoning."""
    return chat(request, {}, tags=(), thinking=(THINK, MISTRAL_THINK))


def _json_block(start: str, end: str) -> OpenCall:
    return lambda sink, home: JsonCalls(sink, home, TagSet.of((end, start)), starts=frozenset({start}))


def _block(read: Read, start: str, end: str, may_end: Callable[[str, str], bool] = anywhere) -> OpenCall:
    ends, starts = TagSet.of((end, start)), frozenset({start})
    return lambda sink, home: TaggedCalls(sink, home, read, ends, starts=starts, may_end=may_end)


def _behind(opening: str, closing: str) -> Callable[[str, str], bool]:
    """The end of a body in which such elements stand comes behind the end of one."""
    return lambda head, tail: opening not in head or tail.rstrip().endswith(closing)


def _bare_function(sink: Sink, home: Mode) -> Mode:
    def read(body: str, schemas: Schemas) -> list[Call]:
        return [*qwen_calls(f"{body}</function>", schemas)]

    ends, may_end = TagSet.of(("</function>",)), _behind("<parameter=", "</parameter>")
    return TaggedCalls(sink, home, read, ends, may_end=may_end, begun="<function=")


def _section(
    section: tuple[str, str], call: tuple[str, str], name_of: Callable[[str], str | None], trailer: str = ""
) -> dict[str, OpenCall]:
    begins, ends = call
    call_ends = TagSet.of((ends, section[1], begins))

    def open_call(sink: Sink, home: Mode) -> Mode:
        starts = frozenset({section[1], begins})
        return HeadedCall(sink, home, name_of, call_ends, starts=starts, trailer=trailer)

    def open_section(sink: Sink, home: Mode) -> Mode:
        return Section(sink, home, lambda here: open_call(sink, here), begins, (section[1],))

    return {section[0]: open_section, begins: lambda sink, home: open_call(sink, open_section(sink, home))}


def _first_group(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def name_of(header: str) -> str | None:
        match = pattern.fullmatch(header)
        return match.group(1) if match else None

    return name_of


def _deepseek_name(header: str) -> str | None:
    match = _DEEPSEEK_NAME.fullmatch(header)
    return match and (match.group(1) or match.group(2))


def _mistral_call(sink: Sink, home: Mode) -> Mode:
    def objects(_: Mode) -> Mode:
        return JsonCalls(sink, home, TagSet.of(()))

    headed = HeadedCall(sink, home, _first_group(_MISTRAL_NAME), TagSet.of(()))
    return Start(headed, {"[": objects, "{": objects})


def _python_tag(sink: Sink, home: Mode) -> Mode:
    def objects(_: Mode) -> Mode:
        return JsonCalls(sink, home, TagSet.of(()))

    return Start(_BuiltIn(sink, home), {"{": objects, "[": objects})


def _bare_json(sink: Sink, home: Mode) -> Mode:
    return JsonCalls(sink, home, TagSet.of(()), bare=True)


@define(eq=False)
class _BuiltIn:
    """Llama's own tools, such as `brave_search.call(…)`: nobody here runs them."""

    _sink: Sink
    _home: Mode

    def feed(self, text: str) -> tuple[Mode, str]:
        """Text, with a warning."""
        self._sink.warn(f"what follows {PYTHON_TAG} is no call of a tool of this request; it is left in the text")
        return self._home, text

    def finish(self) -> None:
        """Nothing followed."""
        self._home.finish()
