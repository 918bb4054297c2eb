import asyncio
import re
import sys
from pathlib import Path

import psutil
import pytest

from environments import make_environment, write_path_file
from job_support import JobDesk, install, opened
from lmx_hookspecs import JobState
from worker_processes import worker_processes


async def test_a_job_runs_in_a_process_of_its_own_and_gives_its_result(desk: JobDesk) -> None:
    started = desk.start("count", path="/somewhere")

    ended = await desk.jobs.wait(started.id)

    assert re.fullmatch(r"[0-9a-f]{12}", started.id)
    assert (started.state, started.finished_at) == (JobState.RUNNING, None)
    assert started.arguments == {"to": 3, "path": "/somewhere"}
    assert ended.result == {"counted": 3, "unit": "steps", "path": "/somewhere"}
    assert (ended.state, ended.fraction, ended.note, ended.error) == (JobState.COMPLETED, 1.0, "at 3", None)
    assert ended.started_at <= (ended.finished_at or 0)


async def test_a_job_gets_the_configuration_of_its_plugin_and_logs_to_the_kernel(desk: JobDesk) -> None:
    desk.config = {"unit": "sheep"}

    ended = await desk.end_of("count")

    assert ended.result is not None
    assert ended.result["unit"] == "sheep"
    assert desk.log.named("counted") == [{"job": ended.id, "plugin": "jobs-of-test", "to": 3}]


async def test_a_job_gives_way_to_generations_and_gets_its_environment(desk: JobDesk) -> None:
    ended = await desk.end_of("tell")

    assert ended.result == {"niceness": min(19, psutil.Process().nice() + 5), "mark": "here"}


async def test_a_job_runs_in_the_environment_of_its_plugin(desk: JobDesk, tmp_path: Path) -> None:
    desk.interpreter = make_environment(tmp_path / "environment")
    write_path_file(tmp_path / "environment", f"{desk.folder.path}\n", "plugin.pth")

    await desk.hanging("hang", path=str(tmp_path / "touched"))
    (facts,) = desk.log.named("job_started")

    assert psutil.Process(facts["pid"]).cmdline()[0] == str(desk.interpreter)


async def test_what_a_job_prints_stands_in_the_log(desk: JobDesk) -> None:
    await desk.end_of("tell")

    said = [(facts["stream"], facts["line"]) for facts in desk.log.named("worker_output")]
    assert sorted(said) == [("stderr", "to stderr"), ("stdout", "to stdout")]


async def test_progress_arrives_in_order_and_the_last_is_not_lost(desk: JobDesk) -> None:
    ended = await desk.end_of("count", to=5_000)

    counted = [status.facts["counted"] for status in desk.told]
    assert counted == sorted(counted)
    assert counted[-2:] == [5_000, 5_000]
    assert len(counted) < 100
    assert [status.state for status in desk.told[:-1]] == [JobState.RUNNING] * (len(counted) - 1)
    assert desk.told[-1] == ended


async def test_the_event_bus_is_told_of_the_beginning_the_progress_and_the_end(desk: JobDesk) -> None:
    ended = await desk.end_of("count")

    known = {"job_id": ended.id, "name": "test.count"}
    first, *between, last = [type_ for type_, _ in desk.published]
    assert (first, set(between), last) == ("job_started", {"job_progress"}, "job_completed")
    assert desk.published[0][1] == {**known, "fraction": 0.0, "note": ""}
    assert desk.published[-1][1] == {**known, "fraction": 1.0, "note": "at 3", "counted": 3}


async def test_an_error_of_the_job_itself_crosses_as_it_is(desk: JobDesk) -> None:
    ended = await desk.end_of("refuse")

    assert (ended.state, ended.fraction) == (JobState.FAILED, 0.5)
    assert (ended.error, ended.error_code) == ("5 GB are needed", "insufficient_storage")
    assert desk.log.named("job_failed")[0]["reason"] == r"5 GB are needed in /private/\udcff"
    assert desk.published[-1][0] == "job_failed"
    assert desk.published[-1][1]["error"] == "5 GB are needed"


async def test_a_bug_in_a_job_is_told_by_type_and_message_with_its_traceback_in_the_log(desk: JobDesk) -> None:
    ended = await desk.end_of("blunder")

    assert (ended.state, ended.error) == (JobState.FAILED, r"the job failed: LookupError: no \udcff here")
    said = [facts["line"] for facts in desk.log.named("worker_output")]
    assert any("in blunder" in line for line in said)


async def test_a_job_that_takes_its_process_down_is_explained_by_its_last_words_in_the_log(desk: JobDesk) -> None:
    ended = await desk.end_of("crash")

    assert ended.state is JobState.FAILED
    assert ended.error == "the worker was killed by SIGABRT; the log says why"
    assert "secret words" in desk.log.named("job_failed")[0]["last_lines"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("quit", "the worker exited with 1"),
        ("shrug", "returned a NoneType; it has to return a mapping"),
        ("mystify", "the job's result is no plain data"),
    ],
)
async def test_an_end_that_gives_no_result_is_a_failure(desk: JobDesk, name: str, reason: str) -> None:
    ended = await desk.end_of(name)

    assert ended.state is JobState.FAILED
    assert reason in (ended.error or "")


async def test_configuration_that_does_not_hold_fails_the_job(desk: JobDesk) -> None:
    desk.config = {"unit": 3}

    ended = await desk.end_of("count")

    assert "the configuration of plugin 'jobs-of-test' does not hold: unit" in (ended.error or "")


async def test_a_job_whose_process_cannot_be_started_fails(desk: JobDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    ended = await desk.end_of("count")

    assert ended.state is JobState.FAILED
    assert "the job could not be run: FileNotFoundError" in (ended.error or "")


async def test_cancel_lets_a_job_clear_away_and_returns_once_it_is_gone(desk: JobDesk, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    job = await desk.hanging("hang", path=str(begun))
    assert begun.exists()

    cancelled = await desk.jobs.cancel(job.id)

    assert (cancelled.state, cancelled.error, cancelled.fraction) == (JobState.CANCELLED, None, 0.25)
    assert not begun.exists()
    assert worker_processes() == []
    assert desk.published[-1][0] == "job_cancelled"
    assert desk.told[-1] == cancelled


@pytest.mark.parametrize("name", ["resist", "clutch", "clutch_and_resist"])
async def test_cancel_ends_whatever_a_job_does(desk: JobDesk, name: str) -> None:
    job = await desk.hanging(name)

    async with asyncio.timeout(15):
        cancelled = await desk.jobs.cancel(job.id)

    assert cancelled.state is JobState.CANCELLED
    assert worker_processes() == []


async def test_cancel_right_after_the_start_ends_a_job_too(desk: JobDesk, tmp_path: Path) -> None:
    job = desk.start("hang", path=str(tmp_path / "begun"))

    cancelled = await desk.jobs.cancel(job.id)

    assert cancelled.state is JobState.CANCELLED
    assert not (tmp_path / "begun").exists()


async def test_a_job_that_was_completed_meanwhile_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(install(tmp_path, monkeypatch), stop_grace_s=30) as desk:
        job = await desk.hanging("finish")
        ended = await desk.jobs.cancel(job.id)

    assert (ended.state, ended.result) == (JobState.COMPLETED, {"finished": True})


async def test_cancel_of_an_ended_job_leaves_it(desk: JobDesk) -> None:
    ended = await desk.end_of("count")

    assert await desk.jobs.cancel(ended.id) == ended


async def test_who_cancels_and_goes_away_does_not_stop_the_end(desk: JobDesk) -> None:
    job = await desk.hanging("resist")
    cancelling = asyncio.create_task(desk.jobs.cancel(job.id))
    await asyncio.sleep(0)

    cancelling.cancel()

    assert (await desk.jobs.wait(job.id)).state is JobState.CANCELLED
