"""The scripts that made the built-in models, which are in no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TRAINING = Path(__file__).parents[1] / "plugins" / "tiny" / "training"


def loaded(name: str) -> ModuleType:
    """The script of that name as a module; those that it imports are looked for beside it."""
    spec = importlib.util.spec_from_file_location(f"tiny_training_{name}", TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(TRAINING))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(TRAINING))
    return module
