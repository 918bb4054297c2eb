"""Which dialect a chat template speaks. The first that matches is taken, so the more special ones come first."""

from collections.abc import Callable, Sequence
from itertools import chain

from lmx_dialects import markup, writing
from lmx_dialects.history import kimi_history, mistral_history
from lmx_hookspecs import CallSyntax, DialectParser, DialectSpec, Message, ParserRequest

Matches = Callable[[str], bool]
History = Callable[[Sequence[Message]], Sequence[Message]]

LLAMA_WORDING = '"parameters": dictionary of argument name'
"""How the templates of Llama 3 ask for calls."""
PYTHONIC_WORDING = "[func_name1("
"""How those of Llama 3.2 and 4 do."""
THINKING = (markup.THINK, markup.MISTRAL_THINK, markup.KIMI_THINK, markup.GEMMA_THOUGHT)
PRIORITY = 40
"""Below the default, so that another plugin's dialect for the same template is taken."""


def _dialect(
    name: str,
    matches: Matches,
    *tags: Sequence[str],
    tools: bool = True,
    history: History | None = None,
    calls: CallSyntax | None = None,
) -> DialectSpec:
    def parser(request: ParserRequest) -> DialectParser:
        from lmx_dialects import formats

        made: DialectParser = getattr(formats, name)(request)
        return made

    return DialectSpec(
        name=name,
        matches=matches,
        parser=parser,
        tags=tuple(tag for group in tags for tag in group),
        tools=tools,
        priority=PRIORITY,
        history=history,
        calls=calls,
        thinking=[(begins, ends) for begins, ends in THINKING if begins in chain(*tags)],
    )


def _all(*words: str) -> Matches:
    return lambda template: all(word in template for word in words)


def _any(*words: str) -> Matches:
    return lambda template: any(word in template for word in words)


DIALECTS: Sequence[DialectSpec] = (
    _dialect("harmony", _all("<|channel|>", "<|message|>"), markup.HARMONY),
    _dialect("minimax", _all(markup.MINIMAX[0]), markup.MINIMAX, markup.THINK, calls=writing.MINIMAX),
    _dialect("gemma", _all(*markup.GEMMA), markup.GEMMA, markup.GEMMA_THOUGHT),
    _dialect("function_gemma", _all(markup.FUNCTION_GEMMA[0]), markup.FUNCTION_GEMMA, markup.THINK),
    _dialect("glm", _all("<arg_key>"), markup.TOOL_CALL, markup.THINK, calls=writing.GLM),
    _dialect(
        "qwen3_coder",
        _all("<tool_call>", "<function="),
        markup.TOOL_CALL,
        markup.THINK,
        calls=writing.QWEN_CODER,
    ),
    _dialect("kimi", _all(markup.KIMI_SECTION[0]), *markup.KIMI, history=kimi_history, calls=writing.KIMI),
    _dialect(
        "deepseek",
        _any(markup.DEEPSEEK_SECTION[0], markup.DSML[0]),
        *markup.DEEPSEEK,
        calls=writing.DEEPSEEK,
    ),
    _dialect(
        "mistral",
        _all(markup.MISTRAL[0]),
        markup.MISTRAL,
        markup.MISTRAL_THINK,
        markup.THINK,
        history=mistral_history,
        calls=writing.MISTRAL,
    ),
    _dialect(
        "pythonic",
        _any(markup.LFM[0], "<|tool_list_start|>", PYTHONIC_WORDING),
        markup.LFM,
        markup.LLAMA4,
        markup.THINK,
    ),
    _dialect(
        "llama_json",
        _any(LLAMA_WORDING, markup.PYTHON_TAG),
        (markup.PYTHON_TAG,),
        markup.THINK,
        calls=writing.LLAMA_JSON,
    ),
    _dialect("hermes", _all("<tool_call>"), markup.TOOL_CALL, markup.THINK, calls=writing.HERMES),
    _dialect(
        "reasoning", _any(markup.THINK[1], markup.MISTRAL_THINK[1]), markup.THINK, markup.MISTRAL_THINK, tools=False
    ),
)
"""Every format, with what its templates hold."""
