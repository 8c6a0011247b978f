"""How every figure looks, and how it becomes a file."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shared.reporting.names import shorten

_STYLE_FILE = Path(__file__).with_name("house.mplstyle")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the project's style."""
    with mpl.rc_context(fname=_STYLE_FILE), warnings.catch_warnings():
        # Only its width is guessed; the reader's own fonts have the character.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(
    width_inches: float, height_inches: float, columns: int = 1, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row."""
    figure = Figure(figsize=(width_inches, height_inches))
    if columns > 1:
        # Room between the last number of one axis and the first of the next.
        figure.set_layout_engine("constrained", wspace=0.06)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def legend_label(name: str, most: int = 26) -> str:
    """Return a short name that a legend shows: matplotlib leaves out what starts with ``_``."""
    name = shorten(name, most)
    return f" {name}" if name.startswith("_") else name


def svg_text(figure: Figure) -> str:
    """Return a figure as an SVG document without a background, a date or a program's name."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with house_style():
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure that is made of pixels as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def data_address(content: bytes, kind: str) -> str:
    """Return a picture as an address that holds it."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()
