import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lmx_hookspecs import preloads
from lmx_hookspecs.preloads import find_jemalloc, find_openblas, mlx_cpu_environment

Find = Callable[[Sequence[Path]], Path | None]
OPENBLAS, JEMALLOC = Path("/lib/libopenblas.so.0"), Path("/lib/libjemalloc.so.2")


@pytest.fixture(autouse=True)
def _both_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloads, "find_openblas", lambda: OPENBLAS)
    monkeypatch.setattr(preloads, "find_jemalloc", lambda: JEMALLOC)
    monkeypatch.setattr(preloads, "can_be_preloaded", lambda _library: True)
    monkeypatch.setattr(preloads, "better_core_type", lambda _library: None)
    for name in ("LD_PRELOAD", "OPENBLAS_NUM_THREADS", "OPENBLAS_THREAD_TIMEOUT", "OPENBLAS_CORETYPE", "MALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("find", "place"),
    [
        (find_openblas, "x86_64-linux-gnu/openblas-pthread/libopenblas.so.0"),
        (find_jemalloc, "aarch64-linux-gnu/libjemalloc.so.2"),
        (find_jemalloc, "libjemalloc.so.2"),
    ],
)
def test_libraries_are_found_in_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Find, place: str
) -> None:
    monkeypatch.setattr(preloads, "_linked", lambda _name: None)
    library = tmp_path / place
    library.parent.mkdir(parents=True, exist_ok=True)
    library.touch()

    assert find([tmp_path / "empty", tmp_path]) == library
    assert find([tmp_path / "empty"]) is None


def test_a_worker_gets_both_around_what_is_preloaded_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/lib/other.so")

    assert mlx_cpu_environment() == {
        "LD_PRELOAD": f"{OPENBLAS} /lib/other.so {JEMALLOC}",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENBLAS_THREAD_TIMEOUT": "18",
        "MALLOC_CONF": "background_thread:true",
    }


def test_what_the_operator_exported_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/mine/libopenblas64.so")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    monkeypatch.setenv("MALLOC_CONF", "narenas:1")

    assert mlx_cpu_environment() == {
        "LD_PRELOAD": f"/mine/libopenblas64.so {JEMALLOC}",
        "OPENBLAS_NUM_THREADS": "4",
        "OPENBLAS_THREAD_TIMEOUT": "18",
        "MALLOC_CONF": "narenas:1",
    }


def test_an_allocator_that_the_operator_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/lib/libtcmalloc_minimal.so.4")

    assert mlx_cpu_environment() == {
        "LD_PRELOAD": f"{OPENBLAS} /lib/libtcmalloc_minimal.so.4",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENBLAS_THREAD_TIMEOUT": "18",
    }


def test_an_allocator_with_which_no_program_starts_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloads, "can_be_preloaded", lambda _library: False)

    assert mlx_cpu_environment()["LD_PRELOAD"] == str(OPENBLAS)


@pytest.mark.parametrize(("exported", "core_type"), [(None, "SkylakeX"), ("Zen", "Zen")])
def test_openblas_is_told_what_processor_it_has_unless_the_operator_says_it(
    monkeypatch: pytest.MonkeyPatch, exported: str | None, core_type: str
) -> None:
    monkeypatch.setattr(preloads, "better_core_type", lambda _library: "SkylakeX")
    if exported is not None:
        monkeypatch.setenv("OPENBLAS_CORETYPE", exported)

    environment = mlx_cpu_environment(blas_threads=8)

    assert environment["OPENBLAS_CORETYPE"] == core_type
    assert environment["OPENBLAS_NUM_THREADS"] == "8"


def test_without_either_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloads, "find_openblas", lambda: None)
    monkeypatch.setattr(preloads, "find_jemalloc", lambda: None)
    monkeypatch.setenv("LD_PRELOAD", "/lib/other.so")

    assert mlx_cpu_environment() == {}


preloading = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")


@preloading
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("body", "starts"), [("", True), ("_exit(1);", False), ('write(2, "pages", 5);', False)])
def test_a_library_is_tried_before_it_is_given_to_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, starts: bool
) -> None:
    monkeypatch.undo()
    library, source = tmp_path / "libjemalloc.so", tmp_path / "library.c"
    source.write_text(f"#include <unistd.h>\n__attribute__((constructor)) static void begin(void) {{ {body} }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setattr(preloads, "find_openblas", lambda: None)
    monkeypatch.setattr(preloads, "find_jemalloc", lambda: library)
    monkeypatch.delenv("LD_PRELOAD", raising=False)

    assert (str(library) in mlx_cpu_environment().get("LD_PRELOAD", "")) is starts


@preloading
def test_a_file_that_is_no_library_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    library = tmp_path / "libjemalloc.so.2"
    library.write_bytes(os.urandom(64))
    monkeypatch.setattr(preloads, "find_openblas", lambda: None)
    monkeypatch.setattr(preloads, "find_jemalloc", lambda: library)
    monkeypatch.delenv("LD_PRELOAD", raising=False)

    assert mlx_cpu_environment() == {}


def test_the_openblas_that_the_operator_chose_is_asked_what_processor_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(preloads, "better_core_type", asked.append)
    monkeypatch.setenv("LD_PRELOAD", "/mine/libopenblas64.so")

    mlx_cpu_environment()

    assert asked == [Path("/mine/libopenblas64.so")]
