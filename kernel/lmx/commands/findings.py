"""What a check of `lmx doctor` found."""

from enum import StrEnum

from attrs import frozen


class Verdict(StrEnum):
    """How bad it is: `warn` costs speed or a feature, `fail` keeps the server from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@frozen
class Finding:
    """One thing that was looked at, what was seen, and what to do about it."""

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


def ok(check: str, seen: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Verdict.OK, seen)


def warn(check: str, seen: str, advice: str) -> Finding:
    """It works, but less well than it could."""
    return Finding(check, Verdict.WARN, seen, advice)


def fail(check: str, seen: str, advice: str) -> Finding:
    """It will not work."""
    return Finding(check, Verdict.FAIL, seen, advice)
