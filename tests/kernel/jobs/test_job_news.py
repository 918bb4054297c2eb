from attrs import evolve

from lmx.jobs.news import News
from lmx_hookspecs import JobState, JobStatus
from lmx_hookspecs.testing import FakeEvents

STARTED = JobStatus(id="1", name="count", arguments={}, state=JobState.RUNNING)


async def test_who_started_a_job_is_told_of_each_progress_and_the_event_bus_of_a_few() -> None:
    told: list[float] = []
    events = FakeEvents()
    news = News(events, lambda status: told.append(status.fraction))  # it only publishes

    news.started(STARTED)
    for fraction in (0.25, 0.5, 0.75):
        news.progressed(evolve(STARTED, fraction=fraction))
    news.ended(evolve(STARTED, fraction=1.0, state=JobState.COMPLETED))

    assert told == [0.25, 0.5, 0.75, 1.0]
    assert [(type_, data["fraction"]) for type_, data in events.published] == [
        ("job_started", 0.0),
        ("job_progress", 0.25),
        ("job_completed", 1.0),
    ]


async def test_facts_do_not_take_the_place_of_what_is_always_told() -> None:
    events = FakeEvents()
    news = News(events, lambda _status: None)  # it only publishes

    news.started(evolve(STARTED, facts={"fraction": 7.0, "files": 2}))

    assert events.published == [
        ("job_started", {"job_id": "1", "name": "count", "fraction": 0, "note": "", "files": 2})
    ]
