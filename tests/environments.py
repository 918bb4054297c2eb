"""Second Python environments for tests: real ones, which find what this one has, unless they are to lack it."""

import sysconfig
import venv
from pathlib import Path


def make_environment(folder: Path, *, bare: bool = False) -> Path:
    """A virtual environment without pip; returns its interpreter."""
    venv.create(folder, symlinks=True)
    if not bare:
        ours = sysconfig.get_path("purelib")
        write_path_file(folder, f"import site; site.addsitedir({ours!r})\n")
    return folder / "bin" / "python"


def write_path_file(environment: Path, text: str, name: str = "lmx_under_test.pth") -> None:
    """Lines that its interpreter reads at every start."""
    (packages_of(environment) / name).write_text(text, encoding="utf-8")


def packages_of(environment: Path) -> Path:
    """Where its modules lie."""
    (packages,) = environment.glob("lib/python*/site-packages")
    return packages
