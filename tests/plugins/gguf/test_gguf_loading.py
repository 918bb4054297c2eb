"""From files to engines: what is wrong is said, adapters, memory."""

import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

import lmx_gguf
from gguf_support import (
    TINY,
    Context,
    Shape,
    add_llama_tensors,
    engine_of,
    info_of,
    llama_writer,
    prompt_of,
    request_of,
    write_adapter,
    write_llama,
    written,
)
from lmx_gguf.config import GgufConfig
from lmx_gguf.loading import load_engine, worth_keeping
from lmx_gguf.need import memory_need
from lmx_hookspecs import Capability, ModelInfo
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable, UnsupportedParameter
from lmx_hookspecs.testing import check_plugin
from step_engine_support import Log, run


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(lmx_gguf)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (random.Random(1).randbytes(5000), "no GGUF file"),
        (b"GGUF" + random.Random(2).randbytes(5000), "version"),
        (b"GGUF\x03\x00\x00\x00" + random.Random(3).randbytes(5000), "claims to have"),
        (TINY.read_bytes()[:40_000], "ends in the middle"),
        (TINY.read_bytes()[:200_000], "the end is missing"),
        (TINY.read_bytes()[:-1000], "cannot be loaded"),
    ],
)
def test_damaged_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)

    with pytest.raises(EngineFailed, match=reason):
        engine_of(path)


def test_a_file_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    shape = Shape()
    writer = llama_writer(tmp_path / "mute.gguf", shape)
    writer.add_tokenizer_model("no_vocab")
    add_llama_tensors(writer, shape, 7, np.float32)

    with pytest.raises(EngineFailed, match="has no vocabulary"):
        engine_of(written(writer, tmp_path / "mute.gguf"))


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="no file on disk"):
        load_engine(Context(), ModelInfo(id="x", format="gguf", path=tmp_path / "gone.gguf"))


def test_an_unknown_architecture_is_no_fault_of_the_file(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "new.gguf", "architecture-of-tomorrow")
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", np.zeros((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with pytest.raises(Unavailable, match="architecture-of-tomorrow") as refused:
        engine_of(tmp_path / "new.gguf")
    assert refused.value.code == "no_engine"


def test_files_with_random_bytes_in_their_weights_do_not_end_the_process(tmp_path: Path) -> None:
    draw, content = random.Random(7), bytearray(TINY.read_bytes())
    for place in draw.sample(range(1_200_000, len(content)), 2000):
        content[place] = draw.randrange(256)
    path = tmp_path / "noisy.gguf"
    path.write_bytes(content)

    engine = engine_of(path)

    assert len(run(engine, [request_of([5, 6, 7], max_tokens=4)])[0].tokens) == 4
    engine.close()


def test_models_without_a_template_complete_and_do_not_chat(tmp_path: Path) -> None:
    engine = engine_of(write_llama(tmp_path / "base.gguf", template=None))

    capabilities = engine.describe().capabilities

    assert Capability.CHAT not in capabilities
    assert Capability.TEMPLATE_ARGUMENTS not in capabilities
    assert Capability.COMPLETION in capabilities
    assert Capability.EMBED not in capabilities
    engine.close()


def test_split_files_are_opened_by_their_first_part(tmp_path: Path) -> None:
    whole = write_llama(tmp_path / "whole.gguf")
    first = split(whole, tmp_path)
    expected = engine_of(whole)
    engine = engine_of(first)

    assert first.stat().st_size < whole.stat().st_size
    assert run(engine, [request_of(prompt_of(9))])[0].tokens == run(expected, [request_of(prompt_of(9))])[0].tokens
    engine.close()
    expected.close()


def split(whole: Path, folder: Path) -> Path:
    """Two files as llama.cpp's gguf-split makes them."""
    reader = gguf.GGUFReader(whole)
    half = len(reader.tensors) // 2
    for number, tensors in enumerate((reader.tensors[:half], reader.tensors[half:])):
        writer = gguf.GGUFWriter(folder / f"parts-0000{number + 1}-of-00002.gguf", "llama")
        if number == 0:
            for name, value in reader.fields.items():
                if not name.startswith("GGUF.") and name != "general.architecture":
                    kinds = value.types
                    writer.add_key_value(name, value.contents(), kinds[0], kinds[1] if len(kinds) > 1 else None)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in tensors:
            writer.add_tensor(tensor.name, tensor.data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return folder / "parts-00001-of-00002.gguf"


def test_settings_reach_the_engine(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "random.gguf")
    engine = engine_of(path, context_length=300, completion_batch_size=3, kv_budget_gb=0.0002)

    description = engine.describe()

    assert (description.context_length, description.max_rows) == (300, 3)
    assert description.details["kv_budget_bytes"] == 768 * 256
    engine.close()


def test_heads_that_blocks_do_not_divide_cannot_be_quantised(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedParameter, match="16 numbers"):
        engine_of(write_llama(tmp_path / "narrow.gguf"), kv_bits=8)


def test_an_adapter_changes_what_the_model_says(tmp_path: Path) -> None:
    path, adapter = write_llama(tmp_path / "base.gguf"), write_adapter(tmp_path / "adapter.gguf")
    plain, adapted = engine_of(path), engine_of(path, adapter=adapter)
    requests = [request_of(prompt_of(20, seed=seed)) for seed in range(3)]

    assert [row.tokens for row in run(plain, requests)] != [row.tokens for row in run(adapted, requests)]
    plain.close()
    adapted.close()


def test_what_is_no_adapter_for_the_model_is_refused(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "base.gguf")
    (tmp_path / "empty").mkdir()

    with pytest.raises(EngineFailed, match="convert_lora_to_gguf"):
        engine_of(path, adapter=tmp_path / "empty")
    with pytest.raises(EngineFailed, match="no adapter"):
        engine_of(path, adapter=path)
    with pytest.raises(EngineFailed, match="does not fit"):
        engine_of(path, adapter=write_adapter(tmp_path / "deep.gguf", layers=5))


def test_the_need_is_what_a_loaded_engine_has(tmp_path: Path) -> None:
    cases: list[tuple[Path, Any]] = [
        (TINY, {}),
        (TINY, {"kv_bits": 8}),
        (write_llama(tmp_path / "wide.gguf", head=32), {"kv_bits": 4}),
    ]
    for path, settings in cases:
        need = memory_need(info_of(path, **settings))
        engine = engine_of(path, **settings)
        details = engine.describe().details
        assert need.kv_bytes_per_token == details["kv_cache"]["bytes_per_token"] > 0
        assert need.kv_is_measured
        assert 0 <= need.weight_bytes - details["weight_bytes"] < 200_000
        assert state_bytes(engine, 200) == pytest.approx(200 * need.kv_bytes_per_token, abs=200 * 16)  # and where it is
        engine.close()


def state_bytes(engine: Any, tokens: int) -> int:
    """What llama.cpp itself says a sequence of so many tokens takes."""
    import llama_cpp

    engine.add(1, request_of(list(range(5, 5 + tokens)), max_tokens=2))
    while not engine.step():
        pass
    sequence = engine.places.rows[0].sequence
    return int(llama_cpp.llama_state_seq_get_size(engine.context._pointer, sequence))


def test_the_need_of_a_damaged_file_is_its_size(tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"nothing")

    need = memory_need(info_of(path))

    assert (need.weight_bytes, need.kv_bytes_per_token) == (7, 0)


def test_the_thread_count_follows_the_configuration() -> None:
    engine = engine_of(TINY, config=GgufConfig(threads=2))

    assert engine.describe().details["threads"] == 2
    engine.close()


def test_fast_models_keep_long_rows_only() -> None:
    assert [worth_keeping(speed) for speed in (10.0, 2000.0, 1e6)] == [64, 200, 512]
    engine = engine_of(TINY, config=GgufConfig(threads=1))
    run(engine, [request_of(list(range(5, 65)), max_tokens=2)])

    assert engine.describe().details["cache"]["entries"] == 0
    engine.close()


def test_a_failed_load_leaves_no_log_behind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(TINY.read_bytes()[:-1000])
    log = Log()

    with pytest.raises(LmxError):
        engine_of(path, log=log)

    assert log.events
    assert capfd.readouterr().err == ""  # nothing goes past the log
