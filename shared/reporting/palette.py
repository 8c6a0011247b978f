"""The report's colours, each for a light page and a dark one.

The hues are those of Okabe and Ito (2008), which people with a colour-vision deficiency can
tell apart, darkened for a white page and lightened for a dark one until each stands out from it
by 3:1 at least. No figure leaves a distinction to colour alone.
"""

from typing import NamedTuple


class Colour(NamedTuple):
    """One colour, by the names of CSS."""

    name: str
    light: str
    dark: str


_COLOURS = (
    Colour("ink", "#1b2430", "#e8ecf1"),
    Colour("paper", "#ffffff", "#14181e"),
    Colour("grid", "#dfe4ea", "#323b47"),
    Colour("band", "#e7f1f9", "#1b2f40"),
    Colour("grey", "#6b7684", "#9aa6b4"),
    Colour("blue", "#0072b2", "#5db4ec"),
    Colour("orange", "#b87000", "#f0b040"),
    Colour("green", "#00845f", "#3cc79a"),
    Colour("red", "#c1440e", "#ff8a5c"),
    Colour("purple", "#a0507f", "#e09bc6"),
    Colour("sky", "#2f93cf", "#a3d8f7"),
)
PALETTE: dict[str, Colour] = {colour.name: colour for colour in _COLOURS}
# What figures are drawn with; the page turns it into the reader's theme.
INK, PAPER, GRID, BAND = (PALETTE[name].light for name in ("ink", "paper", "grid", "band"))
GREY, BLUE, ORANGE = (PALETTE[name].light for name in ("grey", "blue", "orange"))
GREEN, RED, PURPLE, SKY = (PALETTE[name].light for name in ("green", "red", "purple", "sky"))
# In this order no two colours that look alike to someone share a dash.
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY, SKY)
DASHES = ("-", "--", ":", "-.")
