"""How short memory is, and how many rows may run then."""

from lmx_hookspecs import MemoryReport


def pressure(report: MemoryReport) -> float:
    """What residents take, as a share of what they could: the budget, or less where the system has less to give."""
    used = sum(
        holding.reserved_bytes if holding.measured_bytes is None else holding.measured_bytes
        for holding in report.holdings
    )
    room = min(report.budget_bytes, used + report.available_bytes)
    return used / room if room > 0 else float(used > 0)


def adapted(limit: int, share: float) -> int:
    """So many of `limit` rows at this pressure; never none."""
    if share < 0.70:
        return limit
    if share < 0.85:
        return min(limit, max(2, limit * 3 // 4))
    if share < 0.95:
        return max(1, limit // 2)
    return 1
