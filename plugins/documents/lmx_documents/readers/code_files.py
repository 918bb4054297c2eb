"""Source code, whose language is told by the name of the file."""

from lmx_documents.readers.text_files import read

__all__ = ["read"]
