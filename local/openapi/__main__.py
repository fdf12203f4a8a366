"""`python -m local.openapi` writes docs/openapi.json."""

from local.openapi.document import DOCUMENT, text

DOCUMENT.write_text(text(), encoding="utf-8")
