import subprocess
import sys
from pathlib import Path

import pytest

from lmx_hookspecs import openblas_cores
from lmx_hookspecs.openblas_cores import better_core_type
from lmx_hookspecs.preloads import find_openblas

HASWELL = "fpu sse avx avx2 fma"
SKYLAKE_X = f"{HASWELL} avx512f avx512dq avx512bw avx512vl avx512cd"


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("chosen", "flags", "better"),
    [
        ("Prescott", SKYLAKE_X, "SkylakeX"),
        ("Prescott", HASWELL, "Haswell"),
        ("Sandybridge", f"{HASWELL} avx512f", "Haswell"),
        ("Prescott", "fpu sse avx", None),
        ("Haswell", SKYLAKE_X, None),
        ("Zen", HASWELL, None),
        ("a processor of tomorrow", SKYLAKE_X, None),
        ("", SKYLAKE_X, None),
    ],
)
def test_only_an_old_choice_on_a_new_processor_is_mended(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, flags: str, better: str | None
) -> None:
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nprocessor\t: 1\nflags\t\t: {flags}\n")
    monkeypatch.setattr(openblas_cores, "_chosen", lambda _library: chosen)

    assert better_core_type(Path("libopenblas.so.0"), cpuinfo) == better


@pytest.mark.parametrize("text", [None, "", "processor : 0\nFeatures : fp asimd\n"])
def test_other_processors_are_left_to_the_library(cpuinfo: Path, text: str | None) -> None:
    if text is not None:
        cpuinfo.write_text(text)

    assert better_core_type(Path("libopenblas.so.0"), cpuinfo) is None


def test_a_library_that_does_not_say_is_left_alone(cpuinfo: Path) -> None:
    cpuinfo.write_text(f"flags : {SKYLAKE_X}\n")

    assert better_core_type(Path(sys.executable), cpuinfo) is None


@pytest.mark.skipif(find_openblas() is None, reason="needs libopenblas")
def test_the_library_of_this_machine_says_what_it_takes_the_processor_for() -> None:
    library = find_openblas()
    assert library is not None

    assert openblas_cores._chosen(library)


def test_a_moment_without_an_answer_is_not_remembered(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo.write_text(f"flags : {SKYLAKE_X}\n")
    answers = iter([subprocess.TimeoutExpired("python", 5), subprocess.CompletedProcess((), 0, stdout="Prescott\n")])

    def run(*_: object, **__: object) -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(subprocess, "run", run)
    library = Path("asked twice")

    assert [better_core_type(library, cpuinfo) for _ in range(3)] == [None, "SkylakeX", "SkylakeX"]
