"""Source code, whose language is told by the name of the file."""

from lmx_documents.readers.text_files import of_text, read

__all__ = ["of_text", "read"]
