"""From a request to rows: chat template, tokens, context, and the checks without which an engine may abort."""

from collections.abc import Sequence

from attrs import Factory, define, evolve, field

from lmx.workers.constraints import Constraints, bound_by, unenforced
from lmx.workers.context import Cuts, Trimmed, room_for_prompt, trim
from lmx.workers.dialect import Dialect
from lmx.workers.gate import GatedMask
from lmx.workers.logprobs import HeldLogprobs, Vocabulary
from lmx.workers.oversize import Oversize
from lmx.workers.reader import Reader
from lmx.workers.rows import Answer, Row
from lmx.workers.thinking_text import ThinkingText
from lmx.workers.verdict import Verdict
from lmx_hookspecs.constraints import CompiledConstraint, TokenMask
from lmx_hookspecs.engines import Tokenizer, TokenRequest
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter
from lmx_hookspecs.generation import GenerationRequest, Message, Sampling
from lmx_hookspecs.stops import StopScanner, StopStrings

NOT_YET = ("suffix",)
MAX_STOP_CHARS = 4_096
"""Of all stop strings together: their automaton has a state for each."""


@define(eq=False)
class Preparation:
    """Prepares the requests of one model. Thread-safe as far as the tokenizer is."""

    _tokenizer: Tokenizer
    _context_length: int
    _dialect: Dialect = field(factory=Dialect)
    _constraints: Constraints = field(
        default=Factory(lambda self: Constraints((), self._tokenizer, self._dialect, masks=False), takes_self=True)
    )
    _vocabulary: Vocabulary = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._vocabulary = Vocabulary(self._tokenizer)

    def answer(self, request_id: int, request: GenerationRequest, arrived_s: float) -> Answer:
        """The rows of a request, `n` for each prompt; raises InvalidRequest where it cannot be served."""
        check_fields(request)
        context = min(request.num_ctx or self._context_length, self._context_length)
        check_max_tokens(request, context)
        sampling = checked_sampling(request.sampling, self._tokenizer.vocab_size)
        compiled = self._constraints.compiled(request)
        warnings = [*compiled.warnings] if compiled else unenforced(request)
        prompts = self._prompts(request, context, warnings, self._oversize(context))
        answer = Answer(request_id, sum(map(len, prompts)), arrived_s, warnings=warnings)
        # Where a call is forced there is no text that could be stopped, and half a call is of no use.
        stops = None if request.tool_choice else StopStrings.compile(request.stop)
        for tokens in prompts:
            room = room_for(len(tokens), request, context)
            for choice in range(request.n):
                row_request = TokenRequest(
                    tokens=tokens,
                    max_tokens=room,
                    sampling=_seeded(sampling, choice),
                    logprobs=self._alternatives(request),
                    mask=self._mask(request, compiled, tokens, room),
                )
                row = self._row(answer, row_request, stops, self._reader(request, compiled, tokens), choice)
                row.verdict = Verdict(row_request.mask, compiled.flaw_of, bound_by(request)) if compiled else None
                answer.rows.append(row)
        if request.echo:
            answer.opening = [(request_id, row.index, self._prompt_text(request, row.index), 0) for row in answer.rows]
        return answer

    def count(self, request: GenerationRequest) -> int:
        """The tokens of all prompts; raises InvalidRequest where they cannot be made."""
        check_fields(request)
        context = min(request.num_ctx or self._context_length, self._context_length)
        return sum(map(len, self._prompts(request, context, [], None)))

    def _mask(
        self, request: GenerationRequest, compiled: CompiledConstraint | None, prompt: Sequence[int], room: int
    ) -> TokenMask | None:
        """A fresh mask; where the answer may reason first, one that lets it."""
        thinking = self._dialect.thinking(request, prompt, self._tokenizer)
        if thinking is not None and (compiled is not None or thinking.budget is not None):
            make = None if compiled is None else compiled.mask
            return GatedMask(make, room, thinking, self._tokenizer)
        return None if compiled is None else compiled.mask(room)

    def _reader(
        self, request: GenerationRequest, compiled: CompiledConstraint | None, prompt: Sequence[int]
    ) -> Reader | None:
        """What tells text from the rest; an answer that is bound to something, without tools, is text throughout."""
        if compiled is None or request.tools:
            return self._dialect.reader(request, prompt, self._tokenizer)
        thinking = self._dialect.thinking(request, prompt, self._tokenizer)
        return None if thinking is None else Reader(ThinkingText(thinking))

    def _row(
        self, answer: Answer, request: TokenRequest, stops: StopStrings | None, reader: Reader | None, choice: int
    ) -> Row:
        return Row(
            answer,
            len(answer.rows),
            request,
            self._tokenizer.detokenizer(),
            StopScanner(stops) if stops else None,
            HeldLogprobs(self._vocabulary, request.logprobs, reader is not None)
            if request.logprobs is not None
            else None,
            choice == 0,
            reader,
        )

    def _oversize(self, context: int) -> Oversize:
        return Oversize(self._tokenizer.encode, context)

    def _prompts(
        self, request: GenerationRequest, context: int, warnings: list[str], oversize: Oversize | None
    ) -> Sequence[Sequence[int]]:
        """`oversize` is None where the tokens of every prompt are to be counted, however many they are."""
        if request.messages is not None:
            prompts = [self._chat(request, request.messages, context, warnings, oversize)]
        else:
            if oversize is not None and any(isinstance(it, str) and oversize.is_text(it) for it in request.prompts):
                raise too_long(f"more than {context}", request, context)
            prompts = [self._tokens(prompt) for prompt in request.prompts]
        if not prompts or not all(prompts):
            raise InvalidRequest("the prompt has no tokens; send at least one", param=_prompt_field(request))
        return prompts

    def _chat(
        self,
        request: GenerationRequest,
        messages: Sequence[Message],
        context: int,
        warnings: list[str],
        oversize: Oversize | None,
    ) -> list[int]:
        arguments = self._dialect.arguments(request, warnings)

        def render(some: Sequence[Message]) -> list[int] | None:
            if request.chat_template is None and oversize is not None and oversize.is_chat(some):
                return None
            told = self._dialect.messages(request, some)
            return self._tokenizer.render(told, request.tools, arguments, request.chat_template)

        if request.context_policy == "trim":
            room = room_for_prompt(context, request.max_tokens)
            # A length of the answer that need not be kept is no reason to leave anything out.
            trimmed = trim(messages, render, room, context - 1 if "max_tokens" in request.dispensable else room)
        else:
            trimmed = Trimmed(render(messages))
        if trimmed.tokens is None:
            raise too_long(f"more than {context}", request, context)
        if trimmed.dropped:
            warnings.append(trimmed.warning(len(messages)))
        return trimmed.tokens

    def _tokens(self, prompt: str | Sequence[int]) -> list[int]:
        if isinstance(prompt, str):
            return self._tokenizer.encode(prompt)
        check_token_ids(prompt, self._tokenizer.vocab_size, "prompt")
        return list(prompt)

    def _prompt_text(self, request: GenerationRequest, index: int) -> str:
        prompt = request.prompts[index // request.n]
        return prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)

    def _alternatives(self, request: GenerationRequest) -> int | None:
        return None if request.logprobs is None else min(request.logprobs, self._tokenizer.vocab_size - 1)


def check_fields(request: GenerationRequest) -> None:
    """Refuse what no row can honour."""
    for name in NOT_YET:
        if getattr(request, name) is not None:
            raise UnsupportedParameter(f"{name} is not supported by this engine; leave it out", param=name)
    if sum(map(len, request.stop)) > MAX_STOP_CHARS:
        raise InvalidRequest(f"stop strings are longer than {MAX_STOP_CHARS} characters; shorten them", param="stop")
    if request.echo and request.messages is not None:
        raise InvalidRequest("echo repeats a completion prompt, and this is a chat; leave it out", param="echo")
    if request.echo and request.logprobs is not None:
        raise InvalidRequest("echo has no log-probabilities for the prompt; leave out echo or logprobs", param="echo")


def check_max_tokens(request: GenerationRequest, context: int) -> None:
    """Refuse lengths that no answer can have."""
    max_tokens, most = request.max_tokens, None if "max_tokens" in request.dispensable else context
    if max_tokens is not None and (max_tokens < 1 or (most is not None and max_tokens > most)):
        raise InvalidRequest(
            f"max_tokens is {max_tokens}; ask for 1 to {context}, the length of the context", param="max_tokens"
        )


def check_token_ids(tokens: Sequence[int], vocab_size: int, param: str) -> None:
    """Refuse ids beyond the embedding matrix: on some devices they abort the process."""
    if tokens and not 0 <= min(tokens) <= max(tokens) < vocab_size:
        wrong = next(token for token in tokens if not 0 <= token < vocab_size)
        raise InvalidRequest(f"token id {wrong} does not exist; ids are 0 to {vocab_size - 1}", param=param)


def checked_sampling(sampling: Sampling, vocab_size: int) -> Sampling:
    """The same sampling within the vocabulary; a `top_k` that keeps everything becomes 0."""
    check_token_ids(list(sampling.logit_bias), vocab_size, "logit_bias")
    return evolve(sampling, top_k=sampling.top_k if sampling.top_k < vocab_size else 0)


def room_for(prompt_tokens: int, request: GenerationRequest, context: int) -> int:
    """How many tokens the answer may have: what was asked for, or what is left of the context."""
    if prompt_tokens >= context:
        raise too_long(str(prompt_tokens), request, context)
    return min(request.max_tokens or context, context - prompt_tokens)


def too_long(tokens: str, request: GenerationRequest, context: int) -> ContextLengthExceeded:
    """The error of a prompt with so many tokens, in words."""
    return ContextLengthExceeded(
        f"the prompt has {tokens} tokens and the context {context}: nothing is left for an answer; "
        f"shorten the prompt{_advice(request)}",
        param=_prompt_field(request),
    )


def _seeded(sampling: Sampling, choice: int) -> Sampling:
    """Choices differ, and the same request gives the same choices."""
    return sampling if sampling.seed is None or not choice else evolve(sampling, seed=sampling.seed + choice)


def _advice(request: GenerationRequest) -> str:
    """What else would help: nothing where there is no old message to leave out, or all of them are left out."""
    if request.context_policy == "trim" or len(Cuts(request.messages or ()).all()) == 1:
        return ""
    return ", or send context_policy: trim to have old messages left out"


def _prompt_field(request: GenerationRequest) -> str:
    return "prompt" if request.messages is None else "messages"
