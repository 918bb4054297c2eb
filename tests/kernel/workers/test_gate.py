from attrs import define, field

from lmx.workers.gate import GatedMask, Thinking, thinking_of
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import TokenMask

TAGS = ("<", ">")
PAIRS = [TAGS]
TOKENIZER = ByteTokenizer()
ONLY_A = bytes(12) + b"\x02"
"""A mask that allows nothing but the letter a."""


@define
class OnlyA:
    """Allows the letter a, and keeps what it was told."""

    room: int
    told: list[int] = field(factory=list)
    failure: str | None = None

    def allowed(self) -> bytes | None:
        return ONLY_A

    def accept(self, token: int) -> None:
        self.told.append(token)


def gated(*, begun: bool = False, budget: int | None = None, room: int = 100) -> tuple[GatedMask, list[OnlyA]]:
    made: list[OnlyA] = []

    def make(tokens: int) -> TokenMask:
        made.append(OnlyA(tokens))
        return made[-1]

    thinking = Thinking(begins="<", ends=">", begun=begun, budget=budget)
    return GatedMask(make, room, thinking, TOKENIZER), made


def allows(mask: GatedMask, text: str) -> bool:
    bits = mask.allowed()
    return bits is None or all(bits[byte // 8] >> (byte % 8) & 1 for byte in text.encode())


def tell(mask: GatedMask, text: str) -> None:
    for byte in text.encode():
        mask.accept(byte)


def test_reasoning_that_the_prompt_has_begun_is_free_until_its_end() -> None:
    mask, made = gated(begun=True)

    tell(mask, "hm, let me see")
    assert mask.allowed() is None

    tell(mask, ">")
    assert allows(mask, "a")
    assert not allows(mask, "b")
    tell(mask, "aa")
    assert made[-1].told == [97, 97]


def test_the_mask_behind_the_reasoning_knows_how_many_tokens_are_left() -> None:
    mask, made = gated(begun=True, room=50)

    tell(mask, "0123456789>")

    assert made[-1].room == 39


def test_an_answer_may_begin_to_reason_by_itself_or_leave_it() -> None:
    mask, made = gated()

    assert allows(mask, "a")
    assert allows(mask, "<")
    assert not allows(mask, "b")
    tell(mask, "a")
    assert not allows(mask, "<")
    assert made[-1].told == [97]


def test_reasoning_begun_by_the_answer_is_free_too() -> None:
    mask, made = gated()

    tell(mask, "<why")
    assert mask.allowed() is None

    tell(mask, ">a")
    assert made[-1].told == [97]


def test_reasoning_ends_when_its_tokens_are_used_up() -> None:
    mask, _ = gated(begun=True, budget=3)
    tell(mask, "012")

    assert allows(mask, ">")
    assert not allows(mask, "a")

    tell(mask, ">")
    assert allows(mask, "a")


def test_a_budget_holds_without_a_constraint() -> None:
    mask = GatedMask(None, 100, Thinking(begins="<", ends=">", begun=True, budget=0), TOKENIZER)

    assert not allows(mask, "a")
    tell(mask, ">")
    assert mask.allowed() is None


def test_reasoning_in_several_parts_shares_one_budget() -> None:
    mask = GatedMask(None, 100, Thinking(begins="<", ends=">", budget=5), TOKENIZER)
    tell(mask, "first <ab> then <cd")

    assert not allows(mask, "e")
    assert allows(mask, ">")

    tell(mask, "> on")
    assert mask.allowed() is None


def test_a_budget_that_is_spent_stays_spent() -> None:
    mask = GatedMask(None, 100, Thinking(begins="<", ends=">", budget=2), TOKENIZER)
    tell(mask, "<ab>c<")

    assert allows(mask, ">")
    assert not allows(mask, "d")


def test_what_a_token_holds_behind_the_end_of_reasoning_is_told_to_the_mask() -> None:
    class Wide(ByteTokenizer):
        def token_bytes(self, token: int) -> bytes:
            return b">ab" if token == 257 else super().token_bytes(token)

    made: list[OnlyA] = []

    def make(tokens: int) -> TokenMask:
        made.append(OnlyA(tokens))
        return made[-1]

    mask = GatedMask(make, 100, Thinking(begins="<", ends=">", begun=True), Wide())
    tell(mask, "hm")

    mask.accept(257)

    assert made[-1].told == [97, 98]


def test_where_an_answer_begins_is_told_by_its_prompt() -> None:
    def begun(prompt_end: str, **options: bool) -> bool | None:
        found = thinking_of(PAIRS, prompt_end, begun=options.get("begun", False), budget=None)
        return None if found is None else found.begun

    assert begun("assistant\n<") is True
    assert begun("assistant\n<\n\n>\n\n") is None
    assert begun("assistant\n") is False
    assert begun("what does < mean?\nassistant\n") is False
    assert begun("what does > mean?\nassistant\n") is False
    assert begun("assistant\n", begun=True) is True
    assert thinking_of([], "assistant\n<", begun=True, budget=5) is None
