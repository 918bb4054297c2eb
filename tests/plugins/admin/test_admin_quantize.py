from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from admin_models_support import LOADED
from admin_support import StandIns
from http_support import Served, error_of
from lmx.config.schema import Models
from lmx_hookspecs import JobState, ModelState

QUANTIZE = "/admin/quantize"


@pytest.fixture
def folder(tmp_path: Path, services: StandIns, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`home` is $LMX_HOME, `models` the one folder with models."""
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    services.config.sections = {**services.config.sections, "models": Models(directories=(tmp_path / "models",))}
    (tmp_path / "models" / "taken").mkdir(parents=True)
    return tmp_path


async def test_a_job_is_started_with_the_model_s_files_and_a_name_of_its_own(
    server: Served, services: StandIns, folder: Path
) -> None:
    asked = {"source_model": "org/big", "bits": 8, "group_size": 32, "mode": "affine"}

    answer = (await server.ask("POST", QUANTIZE, json=asked)).json()

    assert (answer["job_id"], answer["status"], answer["bits"]) == ("quantize-0", "running", 8)
    assert services.jobs.get("quantize-0").arguments == {
        "source_model": "org/big",
        "source_path": "/models/org/big",
        "output_path": str(folder / "home" / "quantized" / "org--big-8bit"),
        "bits": 8,
        "group_size": 32,
        "mode": "affine",
    }


@pytest.mark.parametrize(
    ("asked", "name"), [({}, "org--big-4bit"), ({"mode": "mxfp4"}, "org--big-mxfp4"), ({"bits": 8}, "org--big-8bit")]
)
@pytest.mark.usefixtures("folder")
async def test_what_is_left_open_is_left_to_the_job(
    server: Served, services: StandIns, asked: dict[str, Any], name: str
) -> None:
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big", **asked})

    [arguments] = services.jobs.asked
    assert Path(arguments["output_path"]).name == name
    assert {"bits", "group_size"} & set(arguments) == {"bits"} & set(asked)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"bits": 3}, "bits"),
        ({"mode": "symmetric"}, "mode"),
        ({"group_size": 0}, "group_size"),
        ({"output_path": ""}, "output_path"),
        ({"source_model": "small"}, "source_model"),
    ],
)
@pytest.mark.usefixtures("folder")
async def test_what_could_only_fail_later_is_refused_at_once(
    server: Served, services: StandIns, asked: dict[str, Any], param: str
) -> None:
    answer = await server.ask("POST", QUANTIZE, json={"source_model": "org/big", **asked})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert not services.jobs.statuses


@pytest.mark.parametrize("wanted", ["mine", "{folder}/models/org/mine", "{folder}/home/quantized/deep/mine"])
async def test_a_path_inside_a_model_folder_is_taken(server: Served, folder: Path, wanted: str) -> None:
    asked = {"source_model": "org/big", "output_path": wanted.format(folder=folder)}

    answer = await server.ask("POST", QUANTIZE, json=asked)

    assert answer.status_code == 200
    assert answer.json()["output_path"].endswith("/mine")


@pytest.mark.parametrize(
    "wanted",
    [
        "/etc/lmx",
        "../../outside",
        "{folder}/models/../outside",
        "{folder}/models",
        "{folder}/home/quantized",
        "{folder}/models/link/mine",
        "~nobody-has-this-home/x",
        "a\0b",
    ],
)
async def test_a_path_outside_the_model_folders_is_refused(
    server: Served, services: StandIns, folder: Path, wanted: str
) -> None:
    (folder / "models" / "link").symlink_to(folder)
    asked = {"source_model": "org/big", "output_path": wanted.format(folder=folder)}

    answer = await server.ask("POST", QUANTIZE, json=asked)

    assert (answer.status_code, error_of(answer)["param"]) == (400, "output_path")
    assert not services.jobs.statuses


@pytest.mark.parametrize("wanted", ["{model}/mine", "{model}/deep/mine"])
async def test_a_path_inside_a_model_is_refused(server: Served, services: StandIns, folder: Path, wanted: str) -> None:
    model = folder / "models" / "taken"
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.safetensors").touch()
    asked = {"source_model": "org/big", "output_path": wanted.format(model=model)}

    answer = await server.ask("POST", QUANTIZE, json=asked)

    assert (answer.status_code, error_of(answer)["param"]) == (400, "output_path")
    assert "is inside the model at" in error_of(answer)["message"]
    assert not services.jobs.statuses


@pytest.mark.parametrize("wanted", ["x" * 256, "x" * 250, "new/" + "x" * 250, "x" * 256 + "/new", "file/x"])
async def test_a_path_that_the_file_system_cannot_take_is_refused(
    server: Served, services: StandIns, folder: Path, wanted: str
) -> None:
    (folder / "models" / "file").touch()
    asked = {"source_model": "org/big", "output_path": f"{folder}/models/{wanted}"}

    answer = await server.ask("POST", QUANTIZE, json=asked)

    assert (answer.status_code, error_of(answer)["param"]) == (400, "output_path")
    assert "cannot be used" in error_of(answer)["message"]
    assert not services.jobs.statuses


async def test_what_exists_is_not_written_over(server: Served, folder: Path) -> None:
    asked = {"source_model": "org/big", "output_path": str(folder / "models" / "taken")}

    answer = await server.ask("POST", QUANTIZE, json=asked)

    assert (answer.status_code, error_of(answer)["param"]) == (409, "output_path")


@pytest.mark.usefixtures("folder")
async def test_a_model_that_is_not_here_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", QUANTIZE, json={"source_model": "none"})

    assert (answer.status_code, error_of(answer)["param"]) == (404, "source_model")


@pytest.mark.usefixtures("folder")
async def test_without_a_plugin_that_quantises_it_says_so(server: Served, services: StandIns) -> None:
    services.jobs.kinds = frozenset()

    answer = await server.ask("POST", QUANTIZE, json={"source_model": "org/big"})

    assert (answer.status_code, error_of(answer)["code"]) == (503, "no_engine")


@pytest.mark.usefixtures("folder")
async def test_a_job_is_followed_from_start_to_end(server: Served, services: StandIns) -> None:
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big"})

    running = (await server.ask("GET", f"{QUANTIZE}/quantize-0")).json()
    services.jobs.end("quantize-0", state=JobState.COMPLETED, fraction=1.0, result={"output_size_bytes": 1_500_000_000})
    done = (await server.ask("GET", f"{QUANTIZE}/quantize-0")).json()

    assert (running["status"], running["progress_percent"], running["note"]) == ("running", 25.0, "layer 1")
    assert (running["completed_at"], running["output_size_bytes"]) == (None, None)
    assert (done["status"], done["completed_at"], done["duration_sec"]) == ("completed", 1030.0, 30.0)
    assert (done["output_size_bytes"], done["output_size_gb"], done["error"]) == (1_500_000_000, 1.5, None)


@pytest.mark.usefixtures("folder")
async def test_jobs_are_listed_newest_first_without_those_of_another_kind(server: Served, services: StandIns) -> None:
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big"})
    services.jobs.start("download", {})
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big", "bits": 8})

    answer = (await server.ask("GET", QUANTIZE)).json()

    assert (answer["count"], [job["job_id"] for job in answer["jobs"]]) == (2, ["quantize-2", "quantize-0"])


@pytest.mark.usefixtures("folder")
async def test_a_job_is_cancelled(server: Served) -> None:
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big"})

    answer = (await server.ask("POST", f"{QUANTIZE}/quantize-0/cancel")).json()

    assert (answer["job_id"], answer["status"]) == ("quantize-0", "cancelled")


@pytest.mark.parametrize("model_id", ["org/big", "alias"])
async def test_what_a_job_reads_is_not_deleted_under_whatever_id(
    server: Served, services: StandIns, folder: Path, model_id: str
) -> None:
    (folder / "link").symlink_to("/models/org/big")
    for name, path in {"org/big": Path("/models/org/big"), "alias": folder / "link"}.items():
        services.models.statuses[name] = evolve(
            LOADED, state=ModelState.ON_DISK, info=evolve(LOADED.info, id=name, path=path)
        )
    await server.ask("POST", QUANTIZE, json={"source_model": "org/big"})

    refused = await server.ask("DELETE", f"/admin/models/{model_id}")
    other = await server.ask("DELETE", "/admin/models/small")
    services.jobs.end("quantize-0", state=JobState.COMPLETED)
    deleted = await server.ask("DELETE", f"/admin/models/{model_id}")

    assert (refused.status_code, error_of(refused)["code"]) == (409, "model_in_use")
    assert "quantize-0" in error_of(refused)["message"]
    assert (other.status_code, deleted.status_code) == (200, 200)


@pytest.mark.parametrize("job_id", ["none", "download-0"])
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("POST", "/cancel")])
async def test_an_unknown_job_is_not_found(
    server: Served, services: StandIns, job_id: str, method: str, rest: str
) -> None:
    services.jobs.start("download", {})

    answer = await server.ask(method, f"{QUANTIZE}/{job_id}{rest}")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "job_not_found")


async def test_every_kind_of_job_can_be_seen_and_ended(server: Served, services: StandIns) -> None:
    services.jobs.start("download", {"repo_id": "org/new"})

    listed = (await server.ask("GET", "/admin/jobs")).json()
    shown = (await server.ask("GET", "/admin/jobs/download-0")).json()
    ended = (await server.ask("DELETE", "/admin/jobs/download-0")).json()
    unknown = await server.ask("GET", "/admin/jobs/none")

    assert (listed["count"], listed["jobs"]) == (1, [shown])
    assert (shown["name"], shown["status"], shown["arguments"]) == ("download", "running", {"repo_id": "org/new"})
    assert (ended["status"], ended["finished_at"]) == ("cancelled", 1030.0)
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "job_not_found")
