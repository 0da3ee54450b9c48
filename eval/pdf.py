"""The report as a PDF, set from its own HTML without a browser.

    pdf(html) -> bytes

The same page gives the same bytes with the same fonts: the PDF states no date of its making.
plutoprint (MIT) carries its own engine; where it does not exist for a platform, the HTML is all
there is.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib import get_data_path

#: What the page's own anchors are relative to. Links to the files of the run lead nowhere on paper.
BASE = "file:///report"
#: A machine without fonts would print empty pages: those that matplotlib carries come last in the
#: page's own lists of fonts, and are there wherever this is.
FONTS = {
    ("DejaVu Sans", "normal"): "DejaVuSans.ttf",
    ("DejaVu Sans", "bold"): "DejaVuSans-Bold.ttf",
    ("DejaVu Serif", "normal"): "DejaVuSerif.ttf",
    ("DejaVu Sans Mono", "normal"): "DejaVuSansMono.ttf",
}
FACE = '@font-face {{ font-family: "{}"; font-weight: {}; src: url(font:{}) }}'
_FILES_BESIDE = re.compile(r' href="\.\./[^"]*"')


def pdf(html: str) -> bytes:
    """Set a self-contained page on A4; it is given nothing but itself to read.

    Raises:
        ImportError: plutoprint cannot be loaded here; its text says why.
        RuntimeError: the page could not be set.
    """
    import plutoprint as engine

    class Nothing(engine.ResourceFetcher):
        """Only what lies in the page itself, and our fonts: no other file, no network."""

        def fetch_url(self, url: str) -> engine.ResourceData:
            if url.removeprefix("font:") in FONTS.values():
                # The engine reads it: memory of ours would be gone before its cache of fonts is.
                url = (_font_folder() / url.removeprefix("font:")).as_uri()
                return engine.default_resource_fetcher.fetch_url(url)
            if not url.startswith("data:"):
                raise ValueError(f"{url[:80]}: a report fetches nothing")
            return engine.default_resource_fetcher.fetch_url(url)

    book = engine.Book(engine.PAGE_SIZE_A4)
    book.custom_resource_fetcher = Nothing()
    try:
        book.load_html(
            _FILES_BESIDE.sub("", html).replace("\0", "\ufffd"),
            user_style="".join(FACE.format(*font, file) for font, file in FONTS.items()),
            base_url=BASE,
        )
        for what in (engine.PDF_METADATA_CREATION_DATE, engine.PDF_METADATA_MODIFICATION_DATE):
            book.set_metadata(what, "")
        out = io.BytesIO()
        book.write_to_pdf_stream(out)
    except (engine.Error, ValueError) as e:
        raise RuntimeError(f"the PDF could not be set: {e}") from e
    return out.getvalue()


def _font_folder() -> Path:
    return Path(get_data_path()) / "fonts" / "ttf"
