from pathlib import Path

import psutil
import pytest

from job_support import JobDesk
from lmx.jobs import service
from lmx_hookspecs import JobState
from lmx_hookspecs.errors import Busy, InvalidRequest, NotFound, Unavailable
from worker_processes import worker_processes


async def test_bad_arguments_are_refused_with_every_problem(desk: JobDesk) -> None:
    with pytest.raises(InvalidRequest, match=r"to: .*colour: |colour: .*to: ") as caught:
        desk.start("count", to=0, colour="red")

    assert caught.value.param in ("to", "colour")
    assert desk.jobs.list() == []


async def test_an_unknown_job_is_told_with_the_nearest_name(desk: JobDesk) -> None:
    with pytest.raises(NotFound, match=r"'test\.cuont', did you mean 'test\.count'") as caught:
        desk.start("cuont")

    assert caught.value.param == "name"


async def test_an_unknown_id_is_not_found(desk: JobDesk) -> None:
    with pytest.raises(NotFound) as caught:
        desk.jobs.get("0123456789ab")

    assert (caught.value.code, caught.value.param) == ("job_not_found", "job_id")


async def test_one_job_more_than_may_run_at_once_is_refused(desk: JobDesk, tmp_path: Path) -> None:
    running = [desk.start("hang", path=str(tmp_path / str(number))) for number in range(2)]

    with pytest.raises(Busy, match=running[0].id) as caught:
        desk.start("hang", path=str(tmp_path / "third"))

    assert caught.value.retry_after_s == 30
    assert (await desk.end_of("count")).state is JobState.COMPLETED


async def test_jobs_are_listed_newest_first_and_by_name(desk: JobDesk) -> None:
    first, second = await desk.end_of("count"), await desk.end_of("tell")

    assert desk.jobs.list() == [second, first]
    assert desk.jobs.list("test.count") == [first]
    assert desk.jobs.describe() == {"running": [], "ended": 2}


async def test_the_oldest_ended_jobs_are_forgotten_and_running_ones_are_not(
    desk: JobDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "KEPT_JOBS", 1)
    running = await desk.hanging("hang", path=str(tmp_path / "begun"))

    for _ in range(2):
        last = await desk.end_of("count")

    assert desk.jobs.list() == [last, running]
    assert desk.jobs.describe()["running"] == [
        {"id": running.id, "name": "test.hang", "fraction": 0.25, "note": "hanging"}
    ]


async def test_closing_cancels_what_runs_and_starts_nothing_more(desk: JobDesk, tmp_path: Path) -> None:
    jobs = [await desk.hanging("hang", path=str(tmp_path / "begun")), await desk.hanging("clutch")]

    await desk.jobs.close(0.1)

    assert [desk.jobs.get(job.id).state for job in jobs] == [JobState.CANCELLED] * 2
    assert worker_processes() == []
    with pytest.raises(Unavailable, match="shutting down"):
        desk.start("count")


async def test_twenty_jobs_in_a_row_leave_nothing_behind(desk: JobDesk) -> None:
    await desk.end_of("count")
    descriptors = psutil.Process().num_fds()

    states = [(await desk.end_of("count")).state for _ in range(20)]

    assert states == [JobState.COMPLETED] * 20
    assert psutil.Process().num_fds() == descriptors
    assert worker_processes() == []
