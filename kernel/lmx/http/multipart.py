"""Forms with files, taken in as they come (`multipart/form-data`, RFC 7578): files go to disk, texts stay in memory."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from attrs import define, field, frozen

from lmx_hookspecs.errors import InsufficientStorage, InvalidRequest, TooLarge
from lmx_hookspecs.http import UploadedFile

if TYPE_CHECKING:
    from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder

FORM = "multipart/form-data"
BITE_BYTES = 2**18
"""The most that is decoded at a time."""
MAX_HEADER_BYTES = 2**16
"""Of one part."""
MAX_TEXTS = 1000
MAX_BOUNDARY = 70
"""Characters; RFC 2046, 5.1.1."""
MAX_LABEL = 255
"""Characters of a file's name."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts of the form; raises InvalidRequest."""
    from werkzeug.http import parse_options_header

    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not (0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii()):
        raise InvalidRequest(f"the form's Content-Type has no boundary; send {FORM}; boundary=…, as HTTP clients do")
    return boundary.encode()


@frozen(kw_only=True)
class Limits:
    """What a form may hold."""

    files: int
    file_bytes: int
    """All files together."""
    text_bytes: int
    """All texts together, with their names."""


@define(eq=False)
class FormReader:
    """Reads one form; files are written to `folder`, which is there. Its calls are made one after the other.

    Raises InvalidRequest, TooLarge, and InsufficientStorage when the disk is full.
    """

    boundary: bytes
    folder: Path
    limits: Limits
    texts: list[tuple[str, str]] = field(factory=list)
    """In the order of the form, as `files`."""
    files: list[UploadedFile] = field(factory=list)
    text_bytes: int = 0
    file_bytes: int = 0
    parts: int = 0
    _part: "_TextPart | _FilePart | None" = None
    _decoder: "MultipartDecoder" = field(init=False)

    @_decoder.default
    def _new_decoder(self) -> "MultipartDecoder":
        from werkzeug.sansio.multipart import MultipartDecoder

        return MultipartDecoder(self.boundary, BITE_BYTES + MAX_HEADER_BYTES)

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        for start in range(0, len(data), BITE_BYTES):
            self._take(data[start : start + BITE_BYTES])

    def end(self) -> None:
        """Nothing more comes; raises InvalidRequest for a form that is cut off."""
        self._take(None)

    def close(self) -> None:
        """Let go of a file that is being written."""
        if self._part is not None:
            self._part.close()

    def _take(self, data: bytes | None) -> None:
        from werkzeug.exceptions import RequestEntityTooLarge

        try:
            self._decoder.receive_data(data)
            self._decode()
        except RequestEntityTooLarge as error:
            raise InvalidRequest("the form is malformed: the header of a part never ends") from error
        except ValueError as error:
            raise InvalidRequest(_malformed(data)) from error
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise InsufficientStorage(
                f"the disk of {self.folder.parent} is full, so the upload cannot be kept; make room on it, then send "
                "it again"
            ) from error

    def _decode(self) -> None:
        from werkzeug.sansio.multipart import Data, Epilogue, Field, File, NeedData

        while not isinstance(event := self._decoder.next_event(), NeedData | Epilogue):
            if isinstance(event, Field | File):
                self._part = self._begun(event)
            elif isinstance(event, Data):
                self._continue(event)

    def _begun(self, event: "Field | File") -> "_TextPart | _FilePart":
        from werkzeug.sansio.multipart import File

        self.parts += 1
        if self.parts > (most := MAX_TEXTS + self.limits.files):
            raise TooLarge(f"the form has more than {most} parts; send fewer")
        if not event.name:
            raise InvalidRequest('the form has a part without a name; each needs one: form-data; name="…"')
        if isinstance(event, File):
            return self._begun_file(event)
        if len(self.texts) >= MAX_TEXTS:
            raise TooLarge(f"the form has more than {MAX_TEXTS} texts; send fewer")
        self._count(event.name, len(event.name))
        return _TextPart(event.name)

    def _begun_file(self, event: "File") -> "_FilePart":
        name = label(event.filename)
        if name:
            self._check_number(event.name)
        media_type = event.headers.get("content-type", "").partition(";")[0].strip().lower()
        return _FilePart(event.name, name, media_type, self.folder / str(self.parts - 1))

    def _continue(self, event: "Data") -> None:
        part = self._part
        if isinstance(part, _TextPart):
            self._count(part.name, len(event.data))
            part.data += event.data
        elif isinstance(part, _FilePart):
            self._write(part, event.data)
        if not event.more_data:
            self._finish(part)

    def _write(self, part: "_FilePart", data: bytes) -> None:
        if not data:
            return
        self._check_number(part.name)
        self.file_bytes += len(data)
        if self.file_bytes > self.limits.file_bytes:
            raise TooLarge(
                f"the files of the form are larger than {self.limits.file_bytes} bytes; send fewer at a time, or raise "
                "server.max_upload_bytes",
                param=part.name,
            )
        part.write(data)

    def _check_number(self, field: str) -> None:
        if len(self.files) >= self.limits.files:
            some = "one file" if self.limits.files == 1 else f"{self.limits.files} files"
            raise TooLarge(f"the form has more than {some}; send them in several requests", param=field)

    def _finish(self, part: "_TextPart | _FilePart | None") -> None:
        self._part = None
        if isinstance(part, _TextPart):
            self.texts.append((part.name, part.text()))
        elif isinstance(part, _FilePart):
            part.close()
            if part.label or part.size:  # browsers send a part without both where no file was chosen
                self.files.append(part.uploaded())

    def _count(self, name: str, size: int) -> None:
        self.text_bytes += size
        if self.text_bytes > self.limits.text_bytes:
            raise TooLarge(
                f"the texts of the form are larger than {self.limits.text_bytes} bytes; send less, or raise "
                "server.max_body_bytes",
                param=name,
            )


@define(eq=False)
class _TextPart:
    name: str
    data: bytearray = field(factory=bytearray)

    def text(self) -> str:
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest(
                f"{self.name}: is not UTF-8 (byte {error.start}); send text encoded as UTF-8", param=self.name
            ) from error

    def close(self) -> None:
        return


@define(eq=False)
class _FilePart:
    name: str
    label: str
    media_type: str
    path: Path
    size: int = 0
    _file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("xb", buffering=0)
        written = 0
        while written < len(data):
            written += self._file.write(data[written:]) if written else self._file.write(data)
        self.size += len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def uploaded(self) -> UploadedFile:
        if self._file is None:
            self.path.touch()
        return UploadedFile(
            field=self.name, name=self.label, media_type=self.media_type, path=self.path, size_bytes=self.size
        )


def label(filename: str) -> str:
    """A file's own name, of whatever path its sender gave, without what would spoil a line."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in name if character.isprintable())[-MAX_LABEL:]


def _malformed(data: bytes | None) -> str:
    if data is None:
        return "the form ends before its last boundary; send the whole of it"
    return "the form is malformed: a part has no readable Content-Disposition; send multipart/form-data (RFC 7578)"
