import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache, CacheList, QuantizedKVCache

from cache_file_support import file_of, plain, quantised, rotating, states
from lmx_mlx import cache_files, packing
from lmx_mlx.cache_files import DamagedFile


@pytest.mark.parametrize("make", [plain, lambda n: plain(n, mx.bfloat16), lambda n: plain(n, mx.float16), quantised])
def test_a_cache_comes_back_bit_for_bit_and_grows_on(tmp_path: Path, make: Callable[[int], Any]) -> None:
    layer = make(40)
    cache_files.write(tmp_path / "f", file_of(range(40), layers=[layer]))

    file = cache_files.read(tmp_path / "f", "i")
    (back,) = packing.unpack(file.layout, file.arrays)

    width = 32 if isinstance(layer, QuantizedKVCache) else 8
    keys, _ = layer.keys_and_values()
    more = mx.ones((1, 2, 3, width), dtype=mx.float32 if isinstance(keys, tuple) else keys.dtype)
    grown = [it.update_and_fetch(more, more) for it in (layer, back)]
    assert type(back) is type(layer)
    assert back.offset == layer.offset == 43
    flat = [leaf for pair in grown for leaf in _leaves(pair)]
    half = len(flat) // 2
    for left, right in zip(flat[:half], flat[half:], strict=True):
        assert left.dtype == right.dtype
        assert mx.array_equal(left, right).item()


def _leaves(tree: Any) -> list[Any]:
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, list | tuple) else [tree]


@pytest.mark.parametrize("make", [rotating, states])
def test_windows_and_states_come_back_too(tmp_path: Path, make: Callable[[int], Any]) -> None:
    layer = make(40)
    cache_files.write(tmp_path / "f", file_of(range(40), layers=[layer]))

    file = cache_files.read(tmp_path / "f", "i")
    (back,) = packing.unpack(file.layout, file.arrays)

    assert type(back) is type(layer)
    left, right = _leaves(layer.state), _leaves(back.state)
    assert len(left) == len(right)
    assert all(
        mx.array_equal(a, b).item() if isinstance(a, mx.array) else a == b for a, b in zip(left, right, strict=True)
    )


def test_caches_whose_state_does_not_say_all_are_not_written() -> None:
    assert packing.can_pack([plain(3), quantised(3)])
    assert not packing.can_pack([CacheList(plain(3), plain(3))])
    odd = ArraysCache(1)
    odd[0] = mx.array([True])
    assert not packing.can_pack([odd])


def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    cache_files.write(path, file_of(range(4), layers=[plain(4)]))
    whole = path.read_bytes()

    for position in range(0, len(whole), 7):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            file = cache_files.read(path, "i")
        except DamagedFile:
            continue
        assert content[position] in b" \t\n\r" or whole[position] in b" ", position  # padding of the header
        assert file.tokens.tolist() == [0, 1, 2, 3]


def rewritten(path: Path, header: bytes) -> Path:
    """The file with another header before its arrays."""
    whole = path.read_bytes()
    base = 8 + int.from_bytes(whole[:8], "little")
    path.write_bytes(len(header).to_bytes(8, "little") + header + whole[base:])
    return path


@pytest.mark.parametrize("dtype_and_shape", [("I32", [2, 2]), ("I32", []), ("F32", [4]), ("U32", [4])])
def test_tokens_that_are_no_list_of_whole_numbers_are_damage(tmp_path: Path, dtype_and_shape: Any) -> None:
    path = tmp_path / "f"
    cache_files.write(path, file_of(range(4), layers=[plain(4)]))
    whole = path.read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    dtype, shape = dtype_and_shape
    tokens = {"dtype": dtype, "shape": shape, "data_offsets": [0, 16 if shape else 4]}

    rewritten(path, json.dumps({**header, "tokens": tokens}).encode())

    with pytest.raises(DamagedFile, match="no list of whole numbers"):
        cache_files.read_head(path, "i")


@pytest.mark.parametrize("read", [cache_files.read, cache_files.read_head])
def test_a_header_that_is_nested_too_deeply_is_damage(tmp_path: Path, read: Callable[[Path, str], Any]) -> None:
    cache_files.write(tmp_path / "f", file_of(range(4), layers=[plain(4)]))
    path = rewritten(tmp_path / "f", b'{"a":' * 500_000)

    with pytest.raises(DamagedFile, match="cannot be read"):
        read(path, "i")
