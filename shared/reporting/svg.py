"""A figure as a part of the page: its text is text, its colours are the reader's theme."""

import re

from markupsafe import Markup
from matplotlib.figure import Figure

from shared.reporting.drawing import svg_text
from shared.reporting.names import printable
from shared.reporting.palette import PALETTE

# Matplotlib escapes "<" and ">" in attributes and text, so that this finds whole tags only.
_TAG = re.compile(r"<[^<>]+>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?:xlink:href="#|url\(#)([^")]+)')
_FONT_FAMILY = re.compile(r"'DejaVu Sans'[^;\"]*")
_LONG_FRACTION = re.compile(r"(\.\d\d)\d+")
_DROPPED = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_VIEW_BOX = re.compile(r'viewBox="([^"]*)"')
_THEMED = {colour.light: f"var(--{colour.name},{colour.light})" for colour in PALETTE.values()}
_COLOUR = re.compile("|".join(_THEMED))
# At a width of 9 inches a figure fills the page's column.
PIXELS_A_POINT = 1.6


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return an ``svg`` element for the middle of an HTML page.

    Parameters
    ----------
    figure : Figure
        Drawn with the colours of `palette`; any other colour is left as it is.
    name : str
        Starts every id within, so that no two figures of a page share one.
    description : str
        What a reader who cannot see it is told.
    """
    document = svg_text(figure)
    (view_box,) = _VIEW_BOX.findall(document)
    inner = document[document.index(">", document.index("<svg")) + 1 : document.rindex("</svg>")]
    inner = _DROPPED.sub("", inner)
    referred = set(_REFERENCE.findall(inner))
    inner = _TAG.sub(lambda match: _fit_tag(match.group(), name, referred), inner)
    width = round(float(view_box.split()[2]) * PIXELS_A_POINT)
    opening = Markup('<svg viewBox="{}" role="img" aria-label="{}" style="max-width:{}px">').format(
        view_box, printable(description), width
    )
    return opening + Markup(re.sub(r"\s*\n\s*", "\n", inner)) + Markup("</svg>")  # noqa: S704


def _fit_tag(tag: str, name: str, referred: set[str]) -> str:
    """Rename ids, and leave colours and fonts to the page."""

    def rename(match: re.Match[str]) -> str:
        known = match.group(1) in referred
        return f' id="{name}-{match.group(1)}"' if known else ""

    tag = _ID.sub(rename, tag)
    tag = tag.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    tag = _FONT_FAMILY.sub("var(--font)", tag)
    tag = _LONG_FRACTION.sub(r"\1", tag)
    return _COLOUR.sub(lambda match: _THEMED[match.group()], tag)
