"""The last gate before the client: whatever the parser lets through, no tag passes."""

from attrs import define, field

from lmx_dialects.tags import TagSet


@define(eq=False)
class Untagged:
    """Takes every tag out of a stream of text, also one whose halves meet because another was taken out between."""

    _tags: TagSet
    removed: list[str] = field(factory=list)
    """The tags that were taken out since somebody last looked."""
    _held: str = ""
    _given: str = ""
    """The end of what is out already, as far as a tag may begin with it."""

    def feed(self, text: str) -> str:
        """What is certain to be free of tags."""
        if not (self._held or self._given) and self._tags.absent(text):
            return text
        out = []
        text, self._held = self._held + text, ""
        for piece, tag in self._tags.pieces(text):
            out.append(self._piece(piece, last=tag is None))
            if tag is not None:
                self.removed.append(tag)
        return "".join(out)

    @property
    def open_end(self) -> str:
        """With what is out at last a tag may begin; the answer ended before it did."""
        return self._given

    def flush(self) -> str:
        """What was held back, because something else than text follows."""
        held, self._held = self._held, ""
        self._given = self._tags.open_suffix(self._given + held)
        return held

    def _piece(self, piece: str, *, last: bool) -> str:
        """Text without a whole tag in it; of a tag that begins in what is out already, the rest is dropped."""
        start = 0
        while self._given and (match := self._tags.search(self._given + piece[start : start + self._tags.longest])):
            self.removed.append(match.group())
            start += match.end() - len(self._given)
        kept = self._given + piece[start:]
        open_suffix = self._tags.open_suffix(kept)
        if not last:
            out, self._given = kept[len(self._given) :], open_suffix
            return out
        if len(open_suffix) >= len(kept) - len(self._given):  # all of the piece may still be part of a tag
            self._held = piece[start:]
            return ""
        end = len(kept) - len(open_suffix)
        out = kept[len(self._given) : end]
        self._held, self._given = open_suffix, self._tags.open_suffix(kept[:end])
        return out
