"""A process that ingests, says what was acknowledged, and is killed: `python … DIRECTORY KIND SEED`."""

import asyncio
import random
import sys
from pathlib import Path

from store_support import NAME, SETTINGS, document, opened


def tell(line: str) -> None:
    """At once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(directory: Path, kind: str, seed: int) -> None:
    draw = random.Random(seed)
    async with opened(directory, vector_index=kind, checkpoint_interval_sec=0.05) as store:
        tell("ready")
        for number in range(100_000):
            name = f"d{draw.randrange(40)}"
            version = f"{seed}-{number}"
            if draw.random() < 0.2:
                tell(f"deleting {name} -")
                await store.delete(NAME, [name])
                tell(f"deleted {name} -")
                continue
            texts = [f"word{seed}x{number} part {index}" for index in range(draw.randrange(1, 6))]
            tell(f"storing {name} {version}")
            await store.ingest(NAME, SETTINGS, [document(name, *texts, seed=number, content_hash=version)])
            tell(f"stored {name} {version}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
