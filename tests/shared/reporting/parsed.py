"""What a test asks of a page, read with the standard library's parser."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags, ids, addresses and text of a page.

    Attributes
    ----------
    references : set of str
        Ids that something on the page points to.
    unnamed_pictures : int
        Pictures without a text for those who cannot see them.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.references: set[str] = set()
        self.unnamed_pictures = 0
        self.tables_without_caption = 0
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.tags.append(tag)
        self.attributes |= values.keys()
        if "id" in values:
            self.ids.append(values["id"])
        addresses = [values[key] for key in ("src", "href", "xlink:href") if key in values]
        self.addresses += addresses
        self.references.update(a[1:] for a in addresses if a.startswith("#"))
        self.references.update(values.get("aria-labelledby", "").split())
        for value in values.values():
            self.references.update(re.findall(r"url\(#([^)]+)\)", value))
        self.unnamed_pictures += tag == "img" and not values.get("alt")
        self.unnamed_pictures += tag == "svg" and not (
            values.get("role") == "img" and values.get("aria-label")
        )
        self.tables_without_caption += (tag == "table") - (tag == "caption")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        """All text, also the styles'."""
        return " ".join(self.words)
