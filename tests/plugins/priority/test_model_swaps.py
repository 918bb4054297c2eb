from itertools import pairwise
from typing import Any

from lmx_priority.config import PriorityConfig
from priority_support import Desk, memory

A: dict[str, Any] = {"model": "a"}
COLD_B: dict[str, Any] = {"model": "b", "resident": False, "fits": False}


def desk(patience_s: float = 10) -> Desk:
    return Desk(PriorityConfig(swap_patience_s=patience_s))


def test_requests_for_the_loaded_model_go_before_one_that_would_evict_it() -> None:
    shop = desk(patience_s=60)
    shop.enter("a1", **A)
    shop.enter("b1", **COLD_B)
    shop.enter("a2", **A)
    shop.enter("a3", **A)

    assert shop.run_dry() == ["a1", "a2", "a3", "b1"]


def test_a_cold_model_is_loaded_at_once_when_the_others_are_idle() -> None:
    shop = desk()
    shop.enter("a1", **A)
    shop.leave("a1")

    shop.enter("b1", **COLD_B)

    assert shop.running() == ["b1"]


def test_models_that_fit_together_do_not_wait_for_each_other() -> None:
    shop = desk()
    shop.enter("a1", **A)

    shop.enter("b1", model="b", resident=False, fits=True)

    assert shop.running() == ["a1", "b1"]


def test_when_patience_ends_the_others_run_dry_and_the_cold_model_is_next() -> None:
    shop = desk(patience_s=10)
    shop.enter("a1", **A)
    shop.enter("b1", **COLD_B)
    shop.pass_time(10)
    shop.enter("a2", **A)
    shop.enter("a3", **A)

    shop.leave("a1")

    assert shop.running() == ["b1"]
    assert shop.run_dry() == ["a1", "b1", "a2", "a3"]


def test_after_twice_the_patience_it_goes_ahead_whatever_runs() -> None:
    shop = desk(patience_s=10)
    shop.enter("a1", **A)
    shop.enter("b1", **COLD_B)

    shop.pass_time(19)
    assert shop.running() == ["a1"]

    shop.pass_time(1)
    assert shop.running() == ["a1", "b1"]


def test_the_model_that_came_in_has_a_patience_of_its_own() -> None:
    shop = desk(patience_s=10)
    shop.enter("a1", **A)
    shop.enter("b1", **COLD_B)
    shop.enter("b2", **COLD_B)
    shop.pass_time(10)
    for name in ("a2", "a3"):
        shop.enter(name, **A)

    order = shop.run_dry()

    assert order == ["a1", "b1", "b2", "a2", "a3"]


def test_a_third_model_does_not_cut_that_patience_short() -> None:
    shop = desk(patience_s=10)
    shop.enter("a1", **A)
    for name in ("b1", "b2", "b3"):
        shop.enter(name, **COLD_B)
    shop.pass_time(1)
    shop.enter("c1", model="c", resident=False, fits=False)
    shop.pass_time(9)

    assert shop.run_dry() == ["a1", "b1", "b2", "b3", "c1"]


def test_two_models_that_are_always_asked_for_swap_once_a_patience() -> None:
    shop = desk(patience_s=10)
    order = []
    for second in range(100):
        shop.enter(f"a{second}", model="a", resident=shop.policy.lines["a"].resident if second else True, fits=False)
        shop.enter(f"b{second}", model="b", resident=False, fits=False)
        shop.now_s += 1
        for name in shop.running():
            order.append(name[0])
            shop.leave(name)

    swaps = sum(before != after for before, after in pairwise(order))
    assert 6 <= swaps <= 11
    assert 30 <= order.count("b") <= 70


def test_a_ticket_from_before_the_eviction_is_not_believed_until_room_was_made() -> None:
    shop = desk()
    shop.enter("a1", **A)
    shop.leave("a1")
    shop.enter("b1", **COLD_B)

    shop.enter("a2", **A)
    assert shop.running() == ["b1"]

    shop.see(memory(models="ab"))  # b has its memory, and a is still there: something else made way
    assert shop.running() == ["b1", "a2"]


def test_one_that_did_make_way_waits_for_the_other_to_become_idle() -> None:
    shop = desk()
    shop.enter("a1", **A)
    shop.leave("a1")
    shop.enter("b1", **COLD_B)
    shop.see(memory(models="b"))

    shop.enter("a2", model="a", resident=False, fits=False)

    assert shop.running() == ["b1"]
    shop.leave("b1")
    assert shop.running() == ["a2"]


def test_of_several_cold_models_the_one_that_waits_longest_is_next() -> None:
    shop = desk(patience_s=60)
    shop.enter("a1", **A)
    shop.enter("c1", model="c", resident=False, fits=False)
    shop.pass_time(1)
    shop.enter("b1", **COLD_B)

    assert shop.run_dry() == ["a1", "c1", "b1"]


def test_without_patience_nobody_waits_for_a_swap() -> None:
    shop = desk(patience_s=0)
    shop.enter("a1", **A)

    shop.enter("b1", **COLD_B)

    assert shop.running() == ["a1", "b1"]


def test_a_cold_request_that_gives_up_lets_the_others_go_on() -> None:
    shop = desk(patience_s=10)
    shop.enter("a1", limit=2, **A)
    shop.enter("b1", **COLD_B)
    shop.pass_time(10)
    shop.enter("a2", limit=2, **A)
    assert shop.running() == ["a1"]

    shop.leave("b1")

    assert shop.running() == ["a1", "a2"]


def test_a_cold_model_whose_only_client_is_at_its_key_s_limit_holds_nobody_up() -> None:
    shop = Desk(PriorityConfig(swap_patience_s=10, key_limit=1), limit=4)
    shop.enter("greedy a", key="greedy", **A)
    shop.enter("greedy b", key="greedy", **COLD_B)
    shop.pass_time(10)

    shop.enter("other a", key="other", **A)

    assert shop.running() == ["greedy a", "other a"]


def test_its_patience_begins_when_its_key_would_let_it_run() -> None:
    shop = Desk(PriorityConfig(swap_patience_s=10, key_limit=1), limit=1)
    shop.enter("greedy c", key="greedy", model="c")
    shop.enter("greedy b", key="greedy", **COLD_B)
    shop.enter("other a", key="other", **A)
    shop.pass_time(30)

    shop.leave("greedy c")
    shop.enter("other a2", key="other 2", **A)
    at_once = shop.running()
    shop.pass_time(20)

    assert at_once == ["other a"]
    assert shop.running() == ["greedy b", "other a"]
