"""How far an index has followed the database."""

import sqlite3

from attrs import frozen


@frozen(order=False)
class Position:
    """The last chunk and the last deletion that are known; both numbers only grow, over all collections."""

    chunk: int = 0
    deletion: int = 0

    def reaches(self, other: "Position") -> bool:
        """Whether all that stood at the other one is known here."""
        return self.chunk >= other.chunk and self.deletion >= other.deletion


def current(connection: sqlite3.Connection) -> Position:
    """That of the database, in the transaction in progress."""
    last = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    return Position(last.get("chunks", 0), last.get("deletions", 0))
