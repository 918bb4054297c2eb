from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs import Ticket
from lmx_priority.fair import Fair, Fifo, shared_by_key_and_client
from lmx_priority.place import Place


def place(number: int, key: str | None = None, client: str | None = None, weight: int = 1) -> Place:
    return Place(Ticket(model="m", resident=True, key=key, client=client, weight=weight), number, 0.0)


def queue_of(*places: Place) -> Fair:
    queue = shared_by_key_and_client()
    for one in places:
        queue.add(one)
    return queue


def served(queue: Fair, count: int | None = None) -> list[Place]:
    order = list[Place]()
    while len(queue) and len(order) != count:
        order.append(next(queue.heads()))
        queue.take(order[-1])
    return order


def test_keys_take_turns_however_much_each_has_queued() -> None:
    flood = [place(number, key="flood") for number in range(6)]
    late = [place(number, key="late") for number in range(6, 8)]
    queue = queue_of(*flood, *late)

    order = served(queue)

    assert [one.key for one in order] == ["flood", "late"] * 2 + ["flood"] * 4
    assert [one for one in order if one.key == "flood"] == flood


def test_clients_of_a_key_share_what_the_key_gets() -> None:
    many = [place(number, key="a", client=f"a{number % 2}") for number in range(8)]
    single = [place(number, key="b") for number in range(8, 16)]
    queue = queue_of(*many, *single)

    first = served(queue, 8)

    assert Counter(one.key for one in first) == {"a": 4, "b": 4}
    assert Counter(one.client for one in first if one.key == "a") == {"a0": 2, "a1": 2}


def test_shares_are_counted_in_rows() -> None:
    heavy = [place(number, key="heavy", weight=4) for number in range(8)]
    light = [place(number, key="light") for number in range(8, 40)]
    queue = queue_of(*heavy, *light)

    first = served(queue, 20)

    assert sum(one.weight for one in first if one.key == "heavy") == 16
    assert sum(one.weight for one in first if one.key == "light") == 16


def test_one_who_was_idle_has_saved_nothing_up() -> None:
    busy = [place(number, key="busy") for number in range(20)]
    queue = queue_of(*busy)
    served(queue, 10)
    for number in range(20, 30):
        queue.add(place(number, key="back"))

    next_ones = served(queue, 10)

    assert Counter(one.key for one in next_ones) == {"back": 5, "busy": 5}


def test_one_who_gives_up_is_not_charged_for() -> None:
    first, second, other = place(0, key="a", weight=9), place(1, key="a"), place(2, key="b", weight=2)
    queue = queue_of(first, second, other)

    queue.remove(first)

    assert served(queue) == [second, other]


def test_ever_new_clients_do_not_starve_one_who_waits() -> None:
    patient = [place(0, client="patient"), place(1, client="patient")]
    queue = queue_of(*patient)
    number = 2

    for _ in range(4):
        queue.add(place(number, client=f"new {number}"))
        number += 1
        served(queue, 1)

    assert not set(patient) & set(served(queue))


def test_the_position_is_exact_in_a_single_flow_and_counts_turns_between_several() -> None:
    alone = [place(number) for number in range(4)]
    queue = queue_of(*alone)
    assert [queue.position(one) for one in alone] == [1, 2, 3, 4]

    newcomer = place(4, key="new")
    queue.add(newcomer)

    assert queue.position(newcomer) == 2


def test_a_fifo_gives_up_whoever_leaves_it() -> None:
    first, second, third = (place(number) for number in range(3))
    queue = Fifo()
    for one in (first, second, third):
        queue.add(one)

    queue.remove(second)

    assert len(queue) == 2
    assert next(queue.heads()) is first
    assert queue.position(third) == 2


@given(
    weights=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=40, max_size=60),
    count=st.integers(1, 40),
)
def test_two_keys_that_always_have_something_waiting_are_never_apart_by_more_than_their_heaviest_requests(
    weights: list[tuple[int, int]], count: int
) -> None:
    queue = queue_of(
        *(place(2 * number, key="a", weight=ours) for number, (ours, _) in enumerate(weights)),
        *(place(2 * number + 1, key="b", weight=theirs) for number, (_, theirs) in enumerate(weights)),
    )

    rows: Counter[str | None] = Counter()
    for one in served(queue, count):
        rows[one.key] += one.weight

    assert abs(rows["a"] - rows["b"]) <= 10


@given(
    script=st.lists(
        st.tuples(st.sampled_from(["add", "take", "remove"]), st.integers(0, 3), st.integers(0, 2), st.integers(1, 4)),
        max_size=60,
    )
)
def test_nobody_is_lost_or_served_twice(script: list[tuple[str, int, int, int]]) -> None:
    queue, inside, outside = shared_by_key_and_client(), list[Place](), list[Place]()

    for number, (deed, key, client, weight) in enumerate(script):
        if deed == "add":
            inside.append(place(number, key=str(key), client=str(client), weight=weight))
            queue.add(inside[-1])
        elif inside:
            leaver = next(queue.heads()) if deed == "take" else inside[(key + client) % len(inside)]
            (queue.take if deed == "take" else queue.remove)(leaver)
            inside.remove(leaver)
            outside.append(leaver)

    assert len(queue) == len(inside)
    assert set(served(queue)) == set(inside)
    assert not set(inside) & set(outside)
