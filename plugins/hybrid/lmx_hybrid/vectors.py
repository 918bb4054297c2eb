"""Vectors as they are compared: of length 1, so that their inner product is the cosine similarity."""

import json

import numpy as np

from lmx_hybrid.database import Database
from lmx_hybrid.flat import Floats, Ids


def normalised_rows(data: bytes, count: int) -> Floats:
    """Vectors of length 1; a zero vector stays, and is similar to nothing."""
    rows = np.frombuffer(data, "<f4").astype(np.float32).reshape(count, -1)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows /= np.where(largest > 0, largest, 1)  # squares of large or tiny numbers do not fit
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def fetch_rows(database: Database, ids: Ids, dimensions: int) -> tuple[Ids, Floats]:
    """Of those chunks that are there."""
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT id, embedding FROM vectors WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(ids.tolist()),),
        ).fetchall()
    if not rows:
        return np.zeros(0, np.int64), np.zeros((0, dimensions), np.float32)
    found = np.array([chunk for chunk, _ in rows], np.int64)
    return found, normalised_rows(b"".join(embedding for _, embedding in rows), len(rows))
