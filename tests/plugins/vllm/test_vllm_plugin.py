import subprocess
import sys
from pathlib import Path

from attrs import fields

import lmx_mlx
import lmx_vllm
from lmx_hookspecs import Capability, options_of
from lmx_vllm.config import VllmConfig


def test_the_backend_opens_safetensors_behind_the_mlx_engine() -> None:
    (spec,), (mlx,) = lmx_vllm.lmx_backends(), lmx_mlx.lmx_backends()

    assert (spec.name, spec.level, spec.isolation) == ("vllm", "text", "process")
    assert spec.formats == mlx.formats
    assert spec.score < mlx.score


def test_what_its_engine_cannot_honour_is_not_promised() -> None:
    (spec,) = lmx_vllm.lmx_backends()

    assert not spec.capabilities & {
        Capability.TOOLS,
        Capability.RESPONSE_FORMAT,
        Capability.LOGPROBS,
        Capability.ECHO,
        Capability.SUFFIX,
        Capability.VISION,
        Capability.EMBED,
    }
    assert not spec.settings & {"kv_bits", "kv_group_size"}


def test_it_requires_vllm_mlx_and_names_its_extra() -> None:
    (requirement,) = lmx_vllm.lmx_requires()

    assert (tuple(requirement.modules), requirement.extra) == (("vllm_mlx",), "vllm")


def test_every_key_is_documented() -> None:
    documented = {name for name, option in options_of(VllmConfig).items() if option.doc}

    assert documented == {attribute.name for attribute in fields(VllmConfig)}
    assert [spec.cls for spec in lmx_vllm.lmx_config()] == [VllmConfig]


def test_the_hooks_import_nothing_of_the_engine(tmp_path: Path) -> None:
    script = (
        "import sys, lmx_vllm; from lmx_hookspecs import ModelInfo; from pathlib import Path; "
        "(backend,) = lmx_vllm.lmx_backends(); lmx_vllm.lmx_config(); lmx_vllm.lmx_requires(); backend.environment(); "
        f"backend.memory_need(ModelInfo(id='m', format='safetensors', path=Path({str(tmp_path)!r}))); "
        "sys.exit(bool({'vllm_mlx', 'mlx', 'mlx_lm', 'torch', 'numpy', 'transformers'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_its_worker_never_asks_a_hub() -> None:
    (spec,) = lmx_vllm.lmx_backends()

    environment = spec.environment()

    assert environment["HF_HUB_OFFLINE"] == "1"
