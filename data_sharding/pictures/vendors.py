"""Makers of X-ray equipment by one name each: headers spell them in many ways.

Manufacturer (0008,0070) is free text, and free text can hold anything. So a sample has either a
name of this list or a keyed pseudonym, which still tells two unknown makers apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAKERS = (
    *("Agfa", "Canon", "Carestream", "Delft", "DRGEM", "DRTECH", "Fischer", "Fujifilm", "GE"),
    *("Hologic", "iRay", "JPI", "Kodak", "Konica", "Konica Minolta", "Listem", "Lodox", "Mindray"),
    *("Oldelft", "Philips", "Rayence", "Samsung", "Sedecal", "Shimadzu", "Siemens", "Swissray"),
    *("Toshiba", "Varex", "Varian", "Vatech", "Vieworks", "Villa", "Ziehm"),
)
_ALSO = {"fuji": "Fujifilm", "general electric": "GE", "delft imaging": "Delft"}


def vendor_name(text: str, pseudonym: Callable[[str], str]) -> str:
    """The maker's usual name, else ``other-`` and a pseudonym; '' for an empty `text`."""
    words = re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
    if not words:
        return ""
    known = {name.lower(): name for name in MAKERS} | _ALSO
    for name in sorted(known, key=len, reverse=True):  # Konica Minolta before Konica
        if re.match(rf"{name}\b", words):
            return known[name]
    return f"other-{pseudonym(words)[:6]}"
