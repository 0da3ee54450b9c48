"""The report as a PDF, set from its own HTML without a browser.

    pdf(html) -> bytes

The same page gives the same bytes with the same fonts: the PDF states no date of its making.
plutoprint (MIT) carries its own engine; where it does not exist for a platform, the HTML is all
there is.
"""

from __future__ import annotations

import io
import re

#: What the page's own anchors are relative to. Links to the files of the run lead nowhere on paper.
BASE = "file:///report"
_FILES_BESIDE = re.compile(r' href="\.\./[^"]*"')


def pdf(html: str) -> bytes:
    """Set a self-contained page on A4; it is given nothing but itself to read.

    Raises:
        ImportError: plutoprint cannot be loaded here; its text says why.
        RuntimeError: the page could not be set.
    """
    import plutoprint as engine

    class Nothing(engine.ResourceFetcher):
        """Only what lies in the page itself: no file, no network."""

        def fetch_url(self, url: str) -> engine.ResourceData:
            if not url.startswith("data:"):
                raise ValueError(f"{url[:80]}: a report fetches nothing")
            return engine.default_resource_fetcher.fetch_url(url)

    book = engine.Book(engine.PAGE_SIZE_A4)
    book.custom_resource_fetcher = Nothing()
    try:
        book.load_html(_FILES_BESIDE.sub("", html).replace("\0", "\ufffd"), base_url=BASE)
        for what in (engine.PDF_METADATA_CREATION_DATE, engine.PDF_METADATA_MODIFICATION_DATE):
            book.set_metadata(what, "")
        out = io.BytesIO()
        book.write_to_pdf_stream(out)
    except (engine.Error, ValueError) as e:
        raise RuntimeError(f"the PDF could not be set: {e}") from e
    return out.getvalue()
