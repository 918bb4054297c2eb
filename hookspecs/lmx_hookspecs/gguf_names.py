"""Which of several GGUF files a name means: `repo` and `repo:Q4_K_M` stand for one file in the folder `repo`.

    repo:QUANT    the file of that quantisation, as file names write it, in any case
    repo          the only model in it; of one model in several quantisations the first of `PREFERRED` that is there

A folder with files of different models, or with two of the quantisation that is meant, is no model by its own name.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from attrs import evolve

from lmx_hookspecs.models import ModelInfo

PREFERRED = (
    *("Q4_K_M", "Q4_K_S", "Q4_K_L", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1", "MXFP4_MOE", "MXFP4", "NVFP4"),
    *("Q5_K_M", "Q5_K_S", "Q5_K_L", "Q5_0", "Q5_1", "Q6_K", "Q6_K_L", "Q8_0"),
    *("Q3_K_M", "Q3_K_L", "Q3_K_XL", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS"),
    *("Q2_K", "Q2_K_L", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S"),
    *("BF16", "F16", "FP16", "F32", "FP32"),
)
"""Q4_K_M, which loses little at a quarter of the size; then the nearest: 4 bits, more up to 8, fewer, unquantised."""
QUANTISATION = re.compile(
    r"(?:^|[.\-_])(?P<name>(?:UD-)?(?:I?Q\d_[0-9A-Z]+(?:_(?:[SML]|X+[SL]))?|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|B?F16|FP?16|FP?32))"
    r"(?=$|[.\-]|_(?!\d))",
    re.IGNORECASE,
)
PART = re.compile(r"-\d{5}-of-\d{5}$")


def quantisation_of(file: str) -> str | None:
    """As its name says, in capitals: of `llama-3-Q4_K_M.gguf` it is `Q4_K_M`; None where the name does not tell."""
    found = QUANTISATION.findall(_stem(file))
    return found[-1].upper() if found else None


def gguf_meant(model_id: str, known: Mapping[str, ModelInfo]) -> ModelInfo | None:
    """The GGUF model that `repo` or `repo:QUANT` means, under that id."""
    repository, _, quantisation = model_id.partition(":")
    prefix = f"{repository}/"
    files = {
        key.removeprefix(prefix): info
        for key, info in known.items()
        if info.format == "gguf" and key.startswith(prefix) and _belongs(key.removeprefix(prefix))
    }
    chosen = choose_gguf(files, quantisation or None) if ":" not in quantisation else None
    return evolve(files[chosen], id=model_id) if chosen is not None else None


def choose_gguf(files: Iterable[str], quantisation: str | None = None) -> str | None:
    """The file of that quantisation, or the one that is taken where nobody says; None where that is not clear."""
    candidates = list(files)
    if quantisation is not None:
        fitting = [file for file in candidates if _is(file, quantisation)]
        return fitting[0] if len(fitting) == 1 else None
    if len(candidates) == 1:
        return candidates[0]
    if len({_without_quantisation(file) for file in candidates}) != 1:
        return None
    for name in PREFERRED:
        fitting = [file for file in candidates if _is(file, name)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _belongs(path: str) -> bool:
    """Directly in the folder, or in one that is named after a quantisation: large models come so."""
    parts = path.split("/")
    return len(parts) == 1 or (len(parts) == 2 and quantisation_of(parts[0]) is not None)


def _is(file: str, quantisation: str) -> bool:
    """Dynamic quantisations (`UD-Q4_K_XL`) are found with their prefix and without."""
    found, wanted = quantisation_of(file), quantisation.upper()
    return found is not None and wanted in {found, found.removeprefix("UD-")}


def _without_quantisation(file: str) -> str:
    """What files of one model have in common: the last mention of a quantisation is left out."""
    stem = _stem(file)
    found = list(QUANTISATION.finditer(stem))
    return (stem[: found[-1].start()] + stem[found[-1].end() :] if found else stem).casefold()


def _stem(file: str) -> str:
    name = PurePosixPath(file).name.removesuffix(".gguf")
    return PART.sub("", name)
