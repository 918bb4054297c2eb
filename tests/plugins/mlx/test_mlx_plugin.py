import subprocess
import sys
from pathlib import Path

from attrs import fields

import lmx_mlx
from lmx_hookspecs import Capability, options_of
from lmx_mlx.config import MlxConfig
from lmx_mlx.engine import MlxEngine
from mlx_support import Context, info_of


def test_the_backend_opens_safetensors_in_a_process_of_its_own(model_folder: Path) -> None:
    (spec,) = lmx_mlx.lmx_backends()

    engine = spec.load(Context(), info_of(model_folder))

    assert (spec.name, spec.level, spec.isolation) == ("mlx", "tokens", "process")
    assert spec.formats == {"safetensors"}
    assert isinstance(engine, MlxEngine)
    assert engine.describe().capabilities <= spec.capabilities


def test_what_no_engine_of_mlx_can_do_is_not_promised() -> None:
    (spec,) = lmx_mlx.lmx_backends()

    assert not spec.capabilities & {Capability.SUFFIX, Capability.VISION}


def test_every_key_is_documented() -> None:
    documented = {name for name, option in options_of(MlxConfig).items() if option.doc}

    assert documented == {attribute.name for attribute in fields(MlxConfig)}
    assert [spec.cls for spec in lmx_mlx.lmx_config()] == [MlxConfig]
    assert [requirement.extra for requirement in lmx_mlx.lmx_requires()] == ["mlx"]


def test_the_hooks_do_not_import_mlx(model_folder: Path) -> None:
    script = (
        "import sys, lmx_mlx; from lmx_hookspecs import ModelInfo; (backend,) = lmx_mlx.lmx_backends(); "
        "lmx_mlx.lmx_config(); lmx_mlx.lmx_requires(); lmx_mlx.lmx_jobs(); backend.environment(); "
        f"from pathlib import Path; assert backend.memory_need(ModelInfo(id='m', format='safetensors', "
        f"path=Path({str(model_folder)!r}))).kv_bytes_per_token; "
        "sys.exit(bool({'mlx', 'mlx_lm', 'numpy', 'transformers'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
