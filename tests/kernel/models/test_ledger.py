from lmx.models.ledger import Ledger


def test_what_is_reserved_counts_until_it_is_released() -> None:
    ledger = Ledger(lambda: 100)

    first, refused = ledger.reserve("a", 60), ledger.reserve("b", 41)
    second = ledger.reserve("b", 40)

    assert first is not None
    assert second is not None
    assert refused is None
    assert (ledger.held_bytes, ledger.free_bytes()) == (100, 0)
    first.release()
    first.release()
    assert (ledger.held_bytes, ledger.free_bytes()) == (40, 60)


def test_a_shortage_is_what_would_have_to_go() -> None:
    ledger = Ledger(lambda: 100)
    ledger.reserve("a", 70)

    assert (ledger.shortage_bytes(30), ledger.shortage_bytes(50)) == (0, 20)


def test_a_loaded_entry_counts_with_the_larger_of_what_is_set_aside_and_what_is_measured() -> None:
    ledger = Ledger(lambda: 100)
    claim = ledger.reserve("a", 50)
    assert claim is not None

    claim.settle(measured_bytes=30, reserved_bytes=40)
    settled = ledger.held_bytes
    claim.measured_bytes = 45

    assert (settled, ledger.held_bytes) == (40, 45)


def test_an_entry_that_outgrows_the_budget_shows_by_how_much() -> None:
    ledger = Ledger(lambda: 100)
    claim = ledger.reserve("a", 100)
    assert claim is not None

    claim.settle(measured_bytes=130, reserved_bytes=130)

    assert (ledger.over_bytes, ledger.free_bytes()) == (30, -30)


def test_what_the_system_cannot_hand_out_cannot_be_reserved() -> None:
    ledger = Ledger(lambda: 1000, lambda: 100)
    loading = ledger.reserve("loading", 60)
    assert loading is not None

    assert ledger.reserve("b", 50) is None
    loading.settle(measured_bytes=55, reserved_bytes=60)
    assert ledger.machine_left_bytes() == 95


def test_the_budget_is_read_each_time() -> None:
    budgets = iter([10, 100])
    ledger = Ledger(lambda: next(budgets))

    assert ledger.reserve("a", 50) is None
    assert ledger.reserve("a", 50, kind="embedder") is not None
    assert [(claim.name, claim.kind) for claim in ledger.claims()] == [("a", "embedder")]


def test_what_takes_nothing_fits_even_where_too_much_is_held() -> None:
    ledger = Ledger(lambda: 100, lambda: 0)
    claim = ledger.reserve("grown", 0)
    assert claim is not None
    claim.settle(measured_bytes=130, reserved_bytes=130)

    assert ledger.shortage_bytes(1) > 0
    assert ledger.reserve("elsewhere", 0) is not None
