import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from attrs import define, field

import lmx_mlx
from lmx.structure import StructureError, structure, unstructure
from lmx_hookspecs.errors import Conflict, EngineFailed, InsufficientStorage, InvalidRequest, LmxError
from lmx_mlx import quantize as quantize_module
from lmx_mlx.quantize import quantised_bytes, quantize
from lmx_mlx.quantize_arguments import QuantizeArguments
from lmx_mlx.quantize_watch import Watch, size_of
from lmx_mlx.weights import tensors_of
from mlx_support import SHAPE, Context, engine_of, prompt_of, request_of, write_model
from step_engine_support import run


@define
class Reports:
    """A Progress that keeps what it is told."""

    seen: list[tuple[float, str, dict[str, float]]] = field(factory=list)

    def __call__(self, fraction: float, note: str = "", **facts: float) -> None:
        self.seen.append((fraction, note, facts))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("quantize") / "source", dtype=mx.float16)


def arguments_for(source: Path, output: Path, **options: Any) -> QuantizeArguments:
    return QuantizeArguments(source_model="org/model", source_path=source, output_path=output, **options)


def partial_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.partial")


@pytest.mark.parametrize(
    "options",
    [
        {"group_size": 32},
        {"bits": 2},
        {"bits": 6, "group_size": 32},
        {"mode": "mxfp4"},
        {"mode": "nvfp4"},
        {"mode": "mxfp8"},
    ],
)
def test_what_comes_out_is_smaller_and_loads_and_answers(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    reports, output = Reports(), tmp_path / "made" / "quantised"
    arguments = arguments_for(source, output, **options)

    result = quantize(Context(), arguments, reports)

    engine = engine_of(output)
    (answer,) = run(engine, [request_of(prompt_of(20), max_tokens=5)])
    assert len(answer.tokens) == 5
    assert engine.describe().details["quantization"] == {
        "bits": arguments.bits,
        "group_size": arguments.group_size,
        "mode": arguments.mode,
    }
    assert result["output_size_bytes"] == size_of(output)
    assert result["bits_per_weight"] == pytest.approx(arguments.bits, abs=1.5)
    assert engine.model.weight_bytes == quantised_bytes(tensors_of(source), arguments)
    assert {name: result[name] for name in ("source_model", "output_path", "bits", "mode")} == {
        "source_model": "org/model",
        "output_path": str(output),
        "bits": arguments.bits,
        "mode": arguments.mode,
    }
    assert reports.seen[0] == (0.0, "reading", {})
    assert reports.seen[-1] == (1.0, "done", {"written_bytes": result["output_size_bytes"]})
    assert [path.name for path in output.parent.iterdir()] == ["quantised"]


def test_each_mode_has_its_usual_bits_and_groups() -> None:
    made = {
        mode: structure({"source_path": "/a", "output_path": "/b", "mode": mode}, QuantizeArguments)
        for mode in ("affine", "mxfp4", "nvfp4", "mxfp8")
    }

    assert {mode: (it.bits, it.group_size) for mode, it in made.items()} == {
        "affine": (4, 64),
        "mxfp4": (4, 32),
        "nvfp4": (4, 16),
        "mxfp8": (8, 32),
    }
    assert unstructure(made["affine"])["bits"] == 4


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"mode": "symmetric"}, "mode", "what was symmetric is affine here"),
        ({"mode": "q4_k_m"}, "mode", "choose affine, mxfp4, nvfp4, mxfp8"),
        ({"bits": 7}, "bits", "2, 3, 4, 5, 6, 8"),
        ({"group_size": 16}, "group_size", "mode affine has 32, 64, 128"),
        ({"mode": "mxfp4", "bits": 8}, "bits", "mode mxfp4 has 4"),
        ({"mode": "nvfp4", "group_size": 32}, "group_size", "mode nvfp4 has 16"),
        ({"output_path": "relative"}, "output_path", "absolute"),
    ],
)
def test_forms_that_mlx_does_not_have_are_refused_before_a_job_starts(
    options: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        structure({"source_path": "/a", "output_path": "/b", **options}, QuantizeArguments)

    assert refused.value.param == param


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(StructureError, match="dtype"):
        structure({"source_path": "/a", "output_path": "/b", "dtype": "float16"}, QuantizeArguments)


def test_an_output_that_exists_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    with pytest.raises(Conflict, match="exists") as refused:
        quantize(Context(), arguments_for(source, tmp_path / "there"), Reports())

    assert refused.value.param == "output_path"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_a_killed_job_left_is_cleared_away_by_the_next(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "quantised"
    left = partial_of(output) / output.name
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")

    quantize(Context(), arguments_for(source, output), Reports())

    assert [path.name for path in tmp_path.iterdir()] == ["quantised"]
    assert len(run(engine_of(output), [request_of(prompt_of(9), max_tokens=2)])[0].tokens) == 2


def test_two_jobs_do_not_write_the_same_output(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "quantised"
    partial_of(output).mkdir()
    with locked(partial_of(output)), pytest.raises(Conflict, match="another job"):
        quantize(Context(), arguments_for(source, output), Reports())

    assert partial_of(output).exists()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_an_interrupted_job_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: QuantizeArguments, folder: Path, *__: Any) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize_module, "_convert", interrupt)

    with pytest.raises(KeyboardInterrupt):
        quantize(Context(), arguments_for(source, tmp_path / "quantised"), Reports())

    assert list(tmp_path.iterdir()) == []


def unknown(folder: Path) -> None:
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"llama"', '"perceptron"'))


def quantised(folder: Path) -> None:
    (folder / "config.json").write_text('{"quantization": {"bits": 4}}')


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), InvalidRequest, "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), InvalidRequest, "no config.json with safetensors"),
        (quantised, InvalidRequest, "org/model is quantised already"),
        (unknown, LmxError, "perceptron"),
        (cut, EngineFailed, "incomplete"),
    ],
)
def test_a_source_that_cannot_be_quantised_says_why_and_leaves_nothing(
    source: Path, tmp_path: Path, damage: Callable[[Path], object], error: type[LmxError], words: str
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(source, damaged)
    damage(damaged)

    with pytest.raises(error, match=words):
        quantize(Context(), arguments_for(damaged, tmp_path / "quantised"), Reports())

    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_groups_that_divide_no_layer_are_an_error_and_not_a_model(tmp_path: Path) -> None:
    narrow = write_model(tmp_path / "narrow", shape={**SHAPE, "intermediate_size": 64})

    with pytest.raises(InvalidRequest, match="choose a smaller group_size") as refused:
        quantize(Context(), arguments_for(narrow, tmp_path / "quantised", group_size=128), Reports())

    assert refused.value.param == "group_size"
    assert not (tmp_path / "quantised").exists()


def test_a_disk_without_room_is_told_apart_with_the_numbers(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))

    with pytest.raises(InsufficientStorage, match=r"takes about .* GiB and .* has 0.00 GiB left"):
        quantize(Context(), arguments_for(source, tmp_path / "quantised"), Reports())

    assert list(tmp_path.iterdir()) == []


def test_progress_counts_what_was_written_and_stays_below_the_end(tmp_path: Path) -> None:
    reports = Reports()
    watch = Watch(folder=tmp_path / "out", expected_bytes=1000, progress=reports)

    watch.look()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(bytes(250))
    watch.look()
    (tmp_path / "out" / "tokenizer.json").write_bytes(bytes(800))
    watch.look()

    assert [fraction for fraction, _, _ in reports.seen] == [0.0, 0.25, 0.99]
    assert reports.seen[1] == (0.25, "quantising", {"written_bytes": 250, "expected_bytes": 1000})


def test_the_plugin_offers_the_job(source: Path, tmp_path: Path) -> None:
    (spec,) = lmx_mlx.lmx_jobs()

    result = spec.run(Context(), arguments_for(source, tmp_path / "quantised"), Reports())

    assert (spec.name, spec.arguments, spec.max_running) == ("quantize", QuantizeArguments, 1)
    assert spec.environment is lmx_mlx.lmx_backends()[0].environment
    assert result["output_path"] == str(tmp_path / "quantised")
