"""Chunks that have the same vector, which an index of neighbours holds once.

A page's footer, say, may stand in a third of all chunks. In a graph each of these would be linked to others of them
and to nothing else, and much of the rest would be out of reach.
"""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

import numpy as np
from attrs import define, field

from lmx_hybrid.flat import Floats, Ids, stand_in

KEY_BYTES = 16


def key_of(vector: Floats) -> bytes:
    """The same for the same vector only."""
    return blake2b(vector.astype(np.float32).tobytes(), digest_size=KEY_BYTES).digest()


@define(eq=False)
class Copies:
    """Each vector has a label, the id of the first chunk that had it; the label stays when that chunk goes."""

    _label_of: dict[int, int] = field(factory=dict)
    _label_by_key: dict[bytes, int] = field(factory=dict)
    _sharing: dict[int, dict[int, None]] = field(factory=dict)
    """By label, where more than one chunk has it or had it: those that have it, in their order."""

    def __len__(self) -> int:
        return len(self._label_of)

    @property
    def labels(self) -> int:
        """How many there are."""
        return len(self._label_by_key)

    def ids(self) -> Ids:
        """Of all chunks, ascending."""
        return np.array(sorted(self._label_of), np.int64)

    def put(self, chunk: int, vector: Floats) -> bool:
        """Take a chunk; whether its vector is new, and its id the label."""
        label = self._label_by_key.setdefault(key_of(vector), chunk)
        self._place(chunk, label)
        return label == chunk

    def drop(self, chunk: int) -> int | None:
        """Let go of a chunk; the label that nobody has any more, whose vector is to be forgotten."""
        label = self._label_of.pop(chunk, None)
        if label is None or label not in self._sharing:
            return label
        sharing = self._sharing[label]
        del sharing[chunk]
        if sharing:
            return None
        del self._sharing[label]
        return label

    def forget(self, vector: Floats) -> None:
        """Nobody has it any more."""
        del self._label_by_key[key_of(vector)]

    def spread(self, labels: Ids, scores: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        """The chunks behind labels, of each at most the first `k` of those that are allowed (ascending; None: all)."""
        if not self._sharing:
            ids, repeated = labels, scores
        else:
            groups = [self._chunks(label, k, allowed) for label in labels.tolist()]
            ids = np.concatenate([*groups, np.zeros(0, np.int64)])
            repeated = np.repeat(scores, [len(group) for group in groups])
        if allowed is None:
            return ids, repeated
        passes = stand_in(ids, allowed)
        return ids[passes], repeated[passes]

    def rows(self) -> Ids:
        """All of it, to be saved: for each chunk its id, its label and the key of its vector."""
        chunks = np.fromiter(self._label_of, np.int64)
        labels = np.fromiter(self._label_of.values(), np.int64)
        keyed = np.fromiter(self._label_by_key.values(), np.int64)
        keys = np.frombuffer(b"".join(self._label_by_key), np.int64).reshape(len(keyed), 2)
        order = np.argsort(keyed)
        return np.column_stack([chunks, labels, keys[order[np.searchsorted(keyed[order], labels)]]])

    @classmethod
    def of_rows(cls, rows: Ids) -> "Copies":
        """As `rows` gave them."""
        made, keys = cls(), np.ascontiguousarray(rows[:, 2:]).tobytes()
        for place, (chunk, label) in enumerate(rows[:, :2].tolist()):
            made._label_by_key[keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]] = label
            made._place(chunk, label)
        return made

    def _place(self, chunk: int, label: int) -> None:
        self._label_of[chunk] = label
        if label in self._sharing:
            self._sharing[label][chunk] = None
        elif label != chunk:
            held = (label,) if self._label_of.get(label) == label else ()
            self._sharing[label] = dict.fromkeys((*held, chunk))

    def _chunks(self, label: int, k: int, allowed: Ids | None) -> Ids:
        sharing = self._sharing.get(label)
        if sharing is None:
            return np.array([label], np.int64)
        if allowed is None:
            return np.fromiter(islice(sharing, k), np.int64)
        return np.fromiter(islice(_standing(sharing, allowed), k), np.int64)


def _standing(sharing: dict[int, None], allowed: Ids) -> Iterator[int]:
    ids = np.fromiter(sharing, np.int64, len(sharing))
    yield from ids[stand_in(ids, allowed)].tolist()
