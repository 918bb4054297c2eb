import json
import platform

import pytest

from lmx import __version__
from lmx.cli import main
from lmx.commands.version import installed_version


def test_it_says_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["version"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[0] == f"lmx {__version__}"
    assert lines[1].startswith(f"python {platform.python_version()} on {platform.system()}")
    assert any(line.startswith("mlx-lm ") for line in lines)


def test_as_json_an_engine_that_is_missing_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    main(["version", "--json"])

    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == __version__
    assert facts["engines"].keys() == {"mlx", "mlx-lm", "llama-cpp-python", "vllm-mlx"}


def test_an_unknown_distribution_has_no_version() -> None:
    assert installed_version("no-such-distribution-at-all") is None
