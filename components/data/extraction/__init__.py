"""HTML -> Markdown with formulas, code and threads. The door is `extract`."""

from __future__ import annotations

from components.data.extraction.result import Extraction, ExtractionError

__all__ = ["Extraction", "ExtractionError", "extract"]


def extract(html: str | bytes, url: str = "", content_type: str = "") -> Extraction:
    """Extract the main content of one page, in this process.

    Args:
        html: the page; bytes are decoded by byte order mark, HTTP charset, `meta` and detection.
        url: where it is from; helps to recognise some sites.
        content_type: the HTTP header, for its charset.

    Time and memory are not bounded here: for pages nobody has looked at use `components.data.extraction.worker`.

    Raises:
        ExtractionError: there is nothing to extract (empty, not HTML, nested too deep), with its reason.
    """
    from components.data.extraction.extractor import extract_page  # lxml and resiliparse load with the first page

    return extract_page(html, url, content_type)
