import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

SCRIPT = """
import sys
from pathlib import Path
from lmx.commands.own_server import own_server

with own_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def test_it_ends_with_whoever_started_it_even_when_that_one_is_killed(config_dir: Callable[..., Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(config_dir())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert select.select([owner.stdout], [], [], 60)[0], "it did not say where the server listens"
        assert owner.stdout.readline().startswith(b"http://127.0.0.1:")
        (server,) = psutil.Process(owner.pid).children()

        owner.kill()

        _, alive = psutil.wait_procs([server], timeout=20)
        assert not alive
