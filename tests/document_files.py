"""Small files of many kinds, made where they are needed."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)
PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'


def pdf(pages: Sequence[str], title: str = "A title") -> bytes:
    """A PDF with a line of text on each page."""
    kids = " ".join(f"{3 + 2 * index} 0 R" for index in range(len(pages)))
    font = f"{3 + 2 * len(pages)} 0 R"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"]
    for index, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        resources = f"/Resources << /Font << /F1 {font} >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {4 + 2 * index} 0 R {resources} >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    objects += ["<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", f"<< /Title ({title}) >>"]
    return _pdf_of(objects)


def _pdf_of(objects: Sequence[str]) -> bytes:
    body, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def encrypted_pdf(pages: Sequence[str], password: str) -> bytes:
    """The same, locked with a password."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(pages))))
    writer.encrypt(password, algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def docx(title: str = "") -> bytes:
    """A document with headings, a list, a table and a heading of a style of its own."""
    from docx import Document
    from docx.enum.style import WD_STYLE_TYPE

    document = Document()
    document.core_properties.title = title
    document.core_properties.author = "Ada"
    document.add_heading("The whole", 0)
    document.add_heading("One", 1)
    document.add_paragraph("Text of\tone.")
    document.add_paragraph("# no header")
    table = document.add_table(rows=2, cols=2)
    for index, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"cell {index}"
    own = document.styles.add_style("Chapter of ours", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 2"]
    document.add_paragraph("Two", style="Chapter of ours")
    document.add_paragraph("Text of two.")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def paged_docx() -> bytes:
    """A document of two sections with a header, footers, and a table in a table, one cell of which is controlled."""
    from docx import Document
    from docx.oxml import OxmlElement

    document = Document()
    outer = document.add_table(rows=1, cols=2)
    outer.cell(0, 0).text = "outer"
    inner = outer.cell(0, 0).add_table(rows=1, cols=2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "inner", "other"
    beside = outer.cell(0, 1)
    beside.text = "beside"
    control, content = OxmlElement("w:sdt"), OxmlElement("w:sdtContent")
    beside._tc.addprevious(control)
    control.append(content)
    content.append(beside._tc)
    document.add_paragraph("Text.")
    for section in (document.sections[0], document.add_section()):
        section.header.is_linked_to_previous = False
        section.header.paragraphs[0].text = "A header"
        section.footer.is_linked_to_previous = False
        section.footer.paragraphs[0].text = "A footer"
    document.sections[1].even_page_footer.paragraphs[0].text = "- 2 -"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def epub(pages: Mapping[str, str], extra: Mapping[str, str] | None = None) -> bytes:
    """A book of pages, by their names; its table of contents is dropped by readers."""
    items = "".join(
        f'<item id="{name}" href="text/{name}.xhtml" media-type="application/xhtml+xml"/>' for name in pages
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>A book</dc:title><dc:creator>Ada</dc:creator><dc:language>en</dc:language></metadata><manifest>"
        f'<item id="nav" properties="nav" href="nav.xhtml" media-type="application/xhtml+xml"/>{items}</manifest>'
        f'<spine><itemref idref="nav"/>{"".join(f"<itemref idref={name!r}/>" for name in pages)}</spine></package>'
    )
    entries = {"META-INF/container.xml": CONTAINER, "OPS/book.opf": package, "OPS/nav.xhtml": PAGE.format("contents")}
    entries |= {f"OPS/text/{name}.xhtml": PAGE.format(body) for name, body in pages.items()}
    return zipped({"mimetype": "application/epub+zip", **entries, **(extra or {})})


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_entry(archive: bytes, name: str, data: bytes) -> bytes:
    """An archive with one entry replaced or added."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        entries = {entry: old.read(entry) for entry in old.namelist()}
    return zipped({**entries, name: data})


def written(folder: Path, name: str, data: bytes | str) -> Path:
    """A file of that content, under a name that its owner does not know."""
    file = folder / f"upload-4711{Path(name).suffix}"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file
