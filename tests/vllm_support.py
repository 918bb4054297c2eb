"""The interpreter that has vllm-mlx: tests of its engine run only where `LMX_VLLM_PYTHON` names one."""

import os
from pathlib import Path

import pytest

VARIABLE = "LMX_VLLM_PYTHON"


def vllm_python() -> str:
    """The interpreter, or a skip that says how to make one."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(
            f"{VARIABLE} names no interpreter with vllm-mlx; `python -m venv E && E/bin/pip install -e '.[vllm]'` "
            f"makes E/bin/python (plugins/vllm/README.md)"
        )
    assert Path(python).exists(), f"{VARIABLE} names {python}, which does not exist"
    return python
