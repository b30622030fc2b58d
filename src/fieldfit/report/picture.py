"""One picture of the report: a title, a sentence that says what to see, and the figure; or a table alone."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows of (quantity, value) without a figure."""

    title: str
    caption: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """figure: drawn on a `matplotlib.figure.Figure` of its own (no pyplot state). figures: rows of (quantity, value) for the table beside it."""

    title: str
    caption: str
    figure: Figure
    figures: tuple[tuple[str, str], ...] = ()
