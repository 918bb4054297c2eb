from lmx.workers.tail import KEPT_LINES, MAX_LINE_BYTES, Tail


def test_lines_are_handed_on_however_they_arrive() -> None:
    told: list[str] = []
    tail = Tail(told.append)

    for data in (b"one\ntw", b"o\n\n", b"thr\xc3", b"\xbcee"):
        tail.feed(data)
    tail.finish()

    assert told == ["one", "two", "thrüee"]


def test_a_line_without_end_is_cut() -> None:
    told: list[str] = []
    tail = Tail(told.append)

    tail.feed(b"x" * (3 * MAX_LINE_BYTES + 1))
    tail.finish()

    assert [len(line) for line in told] == [MAX_LINE_BYTES] * 3 + [1]


def test_the_last_words_are_kept_without_the_stack() -> None:
    tail = Tail(lambda _: None)

    tail.feed(b"".join(b"line %d\n  File x\n" % number for number in range(20)))

    assert tail.lines() == [f"line {number}" for number in range(20 - KEPT_LINES, 20)]
