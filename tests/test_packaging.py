"""What a user installs: the wheel, its extras, and the commands of the README in an empty virtual environment."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXTRAS = {"clients", "constrain", "mlx", "cuda", "embed", "gguf", "rag", "rerank", "hnsw", "load", "vllm", "all", "dev"}


def project() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("opta_lmx-*.whl"))


def test_the_extras_are_those_that_the_readme_names() -> None:
    extras = project()["optional-dependencies"]

    assert isinstance(extras, dict)
    assert set(extras) == EXTRAS
    assert extras["all"] == ["opta-lmx[mlx,constrain,embed,gguf,rag,rerank,hnsw]"]
    assert all(f"`{extra}`" in README for extra in EXTRAS - {"dev"})


def test_the_wheel_carries_the_model_the_template_and_the_drop_ins(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert names >= {
        "lmx_tiny/models/lmx-tiny/model.safetensors",
        "lmx_tiny/models/lmx-tiny-embed/NOTICE",
        "lmx_tiny/models/lmx-tiny-embed/config.json",
        "lmx_tiny/models/lmx-tiny-embed/model.safetensors",
        "lmx_tiny/models/lmx-tiny-embed/tokenizer.json",
        "lmx_tiny/models/lmx-tiny-gguf/lmx-tiny.gguf",
        "lmx/_shipped/plugin-template/pyproject.toml",
        "lmx/_shipped/config.d/00-server.yaml",
        "lmx/py.typed",
    }


def test_the_embedding_model_takes_at_most_nine_megabytes_of_the_wheel(wheel: Path) -> None:
    files = [entry for entry in zipfile.ZipFile(wheel).infolist() if "/lmx-tiny-embed/" in entry.filename]

    assert 0 < sum(entry.file_size for entry in files) <= 9_000_000


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert not [
        name
        for name in names
        if re.search(r"__pycache__|/training/|(^|/)tests/(?!test_)|\.pyc$", name)
        and "_shipped/plugin-template/tests" not in name
    ]


def test_every_plugin_folder_is_an_entry_point_and_a_layer() -> None:
    entry_points = project()["entry-points"]
    assert isinstance(entry_points, dict)
    declared = {**entry_points["lmx.plugins"], **entry_points["lmx.plugins.off"]}
    folders = {path.parent.name: path.name for path in (ROOT / "plugins").glob("*/lmx_*")}

    assert declared == folders
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in layers["contracts"]:
        listed = {name for names in contract.values() if isinstance(names, list) for name in names}
        assert set(folders.values()) <= listed


def test_the_readme_names_the_commands_that_are_checked() -> None:
    assert "pip install '.[mlx]' && lmx serve" in README
    assert "pip install -e '.[mlx,dev]' && pytest" in README
    assert "pip install -e '.[mlx,dev,clients]' && pytest -m clients" in README
    checked = "pip install --quiet --disable-pip-version-check -e '.[mlx,gguf,rag,rerank,hnsw,dev]'"
    assert checked in (ROOT / ".ci" / "run").read_text()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LMX_", "PYTHON"))}
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=600,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", "[mlx]"])
def test_the_readme_works_in_an_empty_virtual_environment(tmp_path: Path, wheel: Path, extra: str) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    installed = run(tmp_path, str(binaries / "pip"), "install", "--quiet", f"opta-lmx{extra} @ {wheel.as_uri()}")
    assert installed.returncode == 0, installed.stderr

    listed = run(tmp_path, str(binaries / "lmx"), "plugins", "list", "--json")
    doctor = run(tmp_path, str(binaries / "lmx"), "doctor")
    answer = run(tmp_path, str(binaries / "lmx"), "chat", "How do I list the plugins?", "--temperature", "0")

    status = {plugin["name"]: plugin["status"] for plugin in json.loads(listed.stdout)}
    assert status["mlx"] == ("active" if extra else "idle")
    assert (status["tiny"], status["static"]) == ("active", "active" if extra else "idle")
    assert "Traceback" not in doctor.stderr
    if extra:
        assert answer.returncode == 0, answer.stderr
        assert "lmx plugins list" in answer.stdout
    else:
        assert answer.returncode == 1
        assert "opta-lmx[mlx]" in answer.stderr
