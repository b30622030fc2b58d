"""The overview of a product: a line a variable, in columns that fit the terminal, or as CSV."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from fieldfit.command.statistics import Statistics

FLAG_CELLS = 5  # of a row that has no figures
MEANING = 20  # characters that a meaning has to have room for, to stand in the table


def overview(dataset: "xr.Dataset", path: Path, width: int) -> list[str]:
    """Title, dimensions, and a line a variable; what it means stands in it as far as the terminal's width allows."""
    lines = textwrap.wrap(f"{path}: {dataset.attrs['title']} ({dataset.attrs['product']})", width, subsequent_indent="  ")
    lines += textwrap.wrap("dimensions: " + ", ".join(f"{name} {size}" for name, size in dataset.sizes.items()), width, subsequent_indent="  ")
    head = ("variable", "dimensions", "units", "min", "median", "max", "NaN", "meaning")
    lines += ["", *_columns([head, *(_row(dataset[name]) for name in dataset.data_vars)], width)]
    flagged = str(dataset.attrs.get("flagged", "none"))
    if flagged != "none":
        lines += ["", "flagged:", *(part for line in flagged.splitlines() for part in wrapped(line, width))]
    return lines


def overview_csv(dataset: "xr.Dataset") -> Iterator[str]:
    """The overview's figures, a line a variable."""
    from fieldfit.command.statistics import statistics

    yield "variable,dimensions,shape,units,min,median,max,nan_share,flags,meaning"
    for name in dataset.data_vars:
        one = dataset[name]
        found = statistics(one)
        flags = "; ".join(f"{count} {flag}" for flag, count in found.flags)
        values = [str(v) for v in (found.low, found.median, found.high, found.absent)] if not (found.flags or found.words) else [""] * 4
        shape = " ".join(map(str, one.shape))
        yield ",".join(map(quoted, [str(name), " ".join(map(str, one.dims)), shape, units_of(one), *values, flags, str(one.attrs["long_name"])]))


def _columns(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """Rows of `_row` under each other, without their dimensions where the terminal has no room for them, as running text where it has less."""
    sizes = [max(len(row[k]) for row in rows) for k in range(3)] + [max(len(row[k]) for row in rows if len(row) > FLAG_CELLS) for k in range(3, 7)]
    shown = [0, 1, 2] if sum(sizes) + 12 <= width else [0, 2]
    figures = sum(sizes[3:]) + 6
    room = width - sum(sizes[k] + 2 for k in shown) - figures - 2
    lines = []
    for row in rows:
        if room < -2:
            lines += textwrap.wrap(f"{row[0]} ({row[1]}) {' '.join(row[2:-1])}", width, subsequent_indent="    ")
            continue
        line = "".join(row[k].ljust(sizes[k] + 2) for k in shown)
        if len(row) > FLAG_CELLS:
            line += "  ".join(text.rjust(size) for text, size in zip(row[3:7], sizes[3:], strict=True))
        else:
            line += _cut(row[3], figures).ljust(figures)
        lines.append((line + (f"  {_cut(row[-1], room)}" if room >= MEANING else "")).rstrip())
    return lines


def _row(variable: "xr.DataArray") -> tuple[str, ...]:
    """name, dimensions, units, min, median, max, NaN, meaning; of flags and texts one cell in place of the four figures."""
    from fieldfit.command.statistics import statistics

    found, meaning = statistics(variable), str(variable.attrs.get("long_name", ""))
    start = (str(variable.name), " ".join(map(str, variable.dims)) or "-", units_of(variable))
    if found.flags or found.words:
        return (*start, told(found), meaning)
    median = ("~" if found.sampled else "") + figure(found.median)
    absent = "-" if not found.absent else f"{found.absent:.1%}" if found.absent > 5e-4 else "< 0.1%"
    return (*start, figure(found.low), median, figure(found.high), absent, meaning)


def told(found: "Statistics") -> str:
    if found.flags:
        return ", ".join(f"{count:,} {name}" for name, count in found.flags)
    if found.words:
        return ", ".join(found.words)
    median = f"{'about ' if found.sampled else ''}{figure(found.median)}"
    return f"min {figure(found.low)}, median {median}, max {figure(found.high)}, {_share(found.absent)}"


def _share(absent: float) -> str:
    return "no NaN" if not absent else f"{absent:.1%} NaN" if absent > 5e-4 else "less than 0.1% NaN"


def in_full(value: Any) -> str:
    """A value in full."""
    return f"{value:.7g}" if isinstance(value, float) or (getattr(value, "dtype", None) is not None and value.dtype.kind == "f") else str(value)


def figure(value: float) -> str:
    return "NaN" if value != value else f"{value:.4g}"


def units_of(variable: "xr.DataArray") -> str:
    return "flag" if "flag_meanings" in variable.attrs else "text" if variable.dtype.kind in "OUS" else str(variable.attrs.get("units", ""))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ")


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n') else cell
