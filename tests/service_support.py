"""A service manager that is not there: what it is asked is kept, and what it answers is given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from lmx.service.definition import Definition
from lmx.service.system import Finished, System

SUCCESS = Finished(0)


@frozen(kw_only=True)
class FakeMachine(System):
    """Answers by the beginning of a command line; a list of answers is used up to its last one."""

    uid: int = 501
    answers: Mapping[str, Finished | list[Finished]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    pauses: list[None] = field(factory=list)

    def run(self, words: Sequence[str]) -> Finished:
        line = " ".join(words)
        self.asked.append(line)
        answer = next((given for begin, given in self.answers.items() if line.startswith(begin)), SUCCESS)
        if isinstance(answer, Finished):
            return answer
        return answer.pop(0) if len(answer) > 1 else answer[0]

    def started_at(self, pid: int) -> float | None:
        return 1000.0 + pid

    def pause(self) -> None:
        self.pauses.append(None)


def definition(folder: Path, **facts: Any) -> Definition:
    """A service of that folder."""
    return Definition(
        **{
            "python": Path("/opt/lmx/bin/python"),
            "config_dir": folder / "config.d",
            "home": folder / "home",
            "environment": {"LMX_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
            "shutdown_grace_s": 30.0,
            **facts,
        }
    )
