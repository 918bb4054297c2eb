"""A process that ingests, replaces and deletes, says what was acknowledged, and is killed: `python … DIRECTORY KIND SEED`."""

import asyncio
import random
import sys
from pathlib import Path

from store_support import NAME, SETTINGS, document, opened


async def main(directory: Path, kind: str, seed: int) -> None:
    draw = random.Random(seed)
    async with opened(directory, vector_index=kind, checkpoint_interval_sec=0.05) as store:
        print("ready", flush=True)
        for number in range(100_000):
            name = f"d{draw.randrange(40)}"
            version = f"{seed}-{number}"
            if draw.random() < 0.2:
                print(f"deleting {name} -", flush=True)
                await store.delete(NAME, [name])
                print(f"deleted {name} -", flush=True)
                continue
            texts = [f"word{seed}x{number} part {index}" for index in range(draw.randrange(1, 6))]
            print(f"storing {name} {version}", flush=True)
            await store.ingest(NAME, SETTINGS, [document(name, *texts, seed=number, content_hash=version)])
            print(f"stored {name} {version}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
