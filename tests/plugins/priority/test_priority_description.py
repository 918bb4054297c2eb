from lmx_priority.config import PriorityConfig
from lmx_priority.description import described
from priority_support import Desk, memory


def test_it_tells_who_waits_who_runs_and_how_much_may() -> None:
    desk = Desk(PriorityConfig(key_limit=6), limit=8)
    desk.see(memory(80))
    for name in ("running", "waiting"):
        desk.enter(name, weight=6, key="k", priority="high")
    desk.pass_time(2.5)

    facts = described(desk.policy, desk.now_s)

    assert facts == {
        "policy": "priority",
        "waiting": 1,
        "running": 6,
        "limit": 6,
        "oldest_wait_s": 2.5,
        "memory_pressure": 0.8,
        "models": {
            "m": {
                "waiting": 1,
                "running": 6,
                "limit": 6,
                "full_limit": 8,
                "classes": {"high": 1, "normal": 0, "low": 0},
                "oldest_wait_s": 2.5,
                "mean_service_s": None,
                "waits_for_memory": False,
            }
        },
        "keys": {"k": {"waiting": 1, "running": 6, "limit": 6}},
    }


def test_requests_without_a_key_are_shown_together() -> None:
    desk = Desk()

    for number, key in enumerate((None, "k", None)):
        desk.enter(str(number), model=f"m{number}", key=key)

    keys = described(desk.policy, desk.now_s)["keys"]
    assert {name: facts["running"] for name, facts in keys.items()} == {"(none)": 2, "k": 1}


def test_a_model_that_waits_for_anothers_memory_says_so() -> None:
    desk = Desk()
    desk.enter("a", model="a")

    desk.enter("b", model="b", resident=False, fits=False)

    models = described(desk.policy, desk.now_s)["models"]
    assert {name: facts["waits_for_memory"] for name, facts in models.items()} == {"a": False, "b": True}
