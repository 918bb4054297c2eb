from pathlib import Path

import numpy as np
import pytest

from lmx_static.weights import read_tensors
from static_support import write_tensors

INTEGERS = np.array([[-127, 0], [3, 127]], dtype=np.int8)
NUMBERS = np.array([0.5, -2.0], dtype=np.float32)


def test_tensors_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, integers=INTEGERS, numbers=NUMBERS)

    tensors = read_tensors(path)

    assert tensors.keys() == {"integers", "numbers"}
    np.testing.assert_array_equal(tensors["integers"], INTEGERS)
    np.testing.assert_array_equal(tensors["numbers"], NUMBERS)


def test_a_file_of_the_reference_implementation_is_read(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file({"integers": INTEGERS, "numbers": NUMBERS}, tmp_path / "model.safetensors")

    tensors = read_tensors(tmp_path / "model.safetensors")

    np.testing.assert_array_equal(tensors["integers"], INTEGERS)
    np.testing.assert_array_equal(tensors["numbers"], NUMBERS)


@pytest.mark.parametrize("kept_bytes", [4, 40, -1])
def test_a_file_that_was_cut_short_is_told_from_a_whole_one(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, numbers=NUMBERS)
    path.write_bytes(path.read_bytes()[:kept_bytes])

    with pytest.raises(ValueError, match=r"model.safetensors ends"):
        read_tensors(path)


def test_a_type_that_is_not_known_is_named(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", numbers=NUMBERS.astype(np.float64))

    with pytest.raises(ValueError, match="holds numbers as float64; known are I8, F32"):
        read_tensors(tmp_path / "model.safetensors")
