"""`fieldfit show`: a product in the terminal, as table or picture, and its pictures as PNG files."""

import argparse
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldfit.command.arguments import FILES, NETCDF, add_path, add_verb
from fieldfit.command.explain import read_attributes
from fieldfit.command.overview import figure, in_full, overview, overview_csv, quoted, told, units_of, wrapped
from fieldfit.types import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr

EXAMPLES = """  fieldfit show results/magis/night/phase.nc                    every variable: dimensions, units, range, share of NaN
  fieldfit show results/magis/night/phase.nc phase              a plot and values, shot by shot
  fieldfit show results/magis/night/phase.nc phase --table      all values
  fieldfit show results/magis/night/phase.nc phase --csv        the same for a spreadsheet
  fieldfit show results/magis/night/density/0000.nc density --at shot=17
                                                                slices through the density of that shot
  fieldfit show results/magis/night/phase.nc --png phase.png    the report's pictures of it: phase.png, phase-2.png, ...
"""
LONGEST = 14  # characters of a number
ROWS = 8  # values that are listed beside a plot, at each end
LINES = 8  # along a short dimension, each of which gets a line of its own
NARROW, WIDE = 26, 40  # characters across a slice: the least for three side by side, and one below the other


def add(verbs: Any) -> None:
    """The verb `show`."""
    verb = add_verb(verbs, "show", "a product as table or picture in the terminal, or as PNG", EXAMPLES, run)
    add_path(verb, "product", "a NetCDF file below results/", NETCDF)
    verb.add_argument("variable", nargs="?", help="one of its variables (default: an overview of all)")
    verb.add_argument("--at", action="append", default=[], metavar="DIMENSION=VALUE", help="only there: shot=17, channel=3; may be repeated")
    form = verb.add_mutually_exclusive_group()
    add_path(form, "--png", "write the report's pictures of it, or a plot of the variable: FILE, FILE-2, ...", FILES, metavar="FILE")
    form.add_argument("--table", action="store_true", help="all values of the variable, a line each, and no plot")
    form.add_argument("--csv", action="store_true", help="the values, or the overview, as comma-separated values")


def run(asked: argparse.Namespace) -> int:
    dataset = read_product(asked.product)
    if asked.variable is not None and asked.variable not in dataset.variables:
        known = [str(name) for name in dataset.variables]
        raise InputError(f"{asked.product}: no variable '{asked.variable}'{nearest(asked.variable, known)} (known: {', '.join(known)})")
    if asked.at:
        dataset = selected(dataset, asked)
    if asked.png:
        from fieldfit.command.pictures import write_pictures

        print("\n".join(write_pictures(dataset, asked.product, asked.variable, asked.png)))
        return 0
    width = shutil.get_terminal_size((110, 24)).columns
    if asked.csv:
        lines = csv_of(dataset[asked.variable]) if asked.variable else overview_csv(dataset)
    elif asked.table and asked.variable:
        lines = table(dataset[asked.variable])
    else:
        lines = iter(view(dataset, asked.variable, width) if asked.variable else overview(dataset, asked.product, width))
    for line in lines:
        sys.stdout.write(line + "\n")
    return 0


def selected(dataset: "xr.Dataset", asked: argparse.Namespace) -> "xr.Dataset":
    """The product at the places that are asked for. Raises InputError where the variable has none such, and without a variable."""
    from fieldfit.command.selection import at

    if asked.variable is None:
        raise InputError(f"{asked.product}: --at {asked.at[0]} without a variable, expected one of {', '.join(map(str, dataset.data_vars))}")
    dims = [str(dim) for dim in dataset[asked.variable].dims]
    for place in asked.at:
        name = place.partition("=")[0].strip()
        if name in dataset.dims and name not in dims:
            raise InputError(f"{asked.product}: --at {place}: {asked.variable} has no dimension {name} (its dimensions: {', '.join(dims) or 'none'})")
    return at(dataset, asked.at, asked.product)


def read_product(path: Path) -> "xr.Dataset":
    """The product with its values still in the file. Raises InputError for a file that is no product of fieldfit, naming the nearest."""
    from fieldfit.contract.products import PRODUCTS
    from fieldfit.io.products import open_product

    kind = str(read_attributes(path)["product"])
    dataset = open_product(path, kind, chunks={})
    return dataset[[name for name in PRODUCTS[kind] if name in dataset]]  # in the contract's order


def view(dataset: "xr.Dataset", name: str, width: int) -> list[str]:
    """One variable: what it is, its statistics, a plot by its dimensions, and for one dimension its values."""
    from fieldfit.command.statistics import statistics

    variable = dataset[name]
    lines = [*wrapped(f"{name}: {variable.attrs.get('long_name', '')}", width, ""), f"  {_dims(variable)}  {units_of(variable)}".rstrip()]
    found = statistics(variable)
    if not variable.ndim:
        return [*lines, f"  {in_full(variable.values[()])}"]
    lines += [*wrapped(told(found), width), ""]
    if variable.dtype.kind in "OUS" or "flag_meanings" in variable.attrs:
        return [*lines, *(_listed(variable) if variable.ndim == 1 else _drawn(variable, dataset, width))]
    if variable.ndim == 1:
        return [*lines, *_plotted(variable, dataset, width), "", *_listed(variable, dataset.get(f"{name}_std"))]
    return [*lines, *_drawn(variable, dataset, width)]


def table(variable: "xr.DataArray") -> Iterator[str]:
    """Every value with its coordinates, in columns."""
    titles = [*map(str, variable.dims), str(variable.name)]
    ticks = [max(len(in_full(tick)) for tick in variable[dim].values) for dim in variable.dims]
    sizes = [max(pair) for pair in zip(map(len, titles), [*ticks, LONGEST], strict=True)]
    for row in itertools.chain([titles], _rows(variable)):
        yield "  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True))


def csv_of(variable: "xr.DataArray") -> Iterator[str]:
    """Every value with its coordinates, comma-separated, read a part at a time."""
    yield ",".join([*map(str, variable.dims), str(variable.name)])
    for row in _rows(variable, "{!r}"):
        yield ",".join(map(quoted, row))


def _rows(variable: "xr.DataArray", form: str = "{:.7g}") -> Iterator[list[str]]:
    from fieldfit.command.statistics import flag_names, slabs

    names = flag_names(variable) if "flag_meanings" in variable.attrs else {}
    labels = [[in_full(tick) for tick in variable[dim].values] for dim in variable.dims]
    values = (value for part in slabs(variable) for value in part.reshape(-1).tolist())
    for place, value in zip(itertools.product(*labels), values, strict=True):
        yield [*place, names.get(int(value), str(value)) if names else value if isinstance(value, str) else form.format(value)]


def _dims(variable: "xr.DataArray") -> str:
    return ", ".join(f"{name} {size}" for name, size in variable.sizes.items()) or "one value"


def _plotted(variable: "xr.DataArray", dataset: "xr.Dataset", width: int) -> list[str]:
    """A curve over its coordinate, or over the values that belong to an index (`spectrum_frequency` of `spectrum`)."""
    from fieldfit.command.characters import curve
    from fieldfit.command.selection import over

    across = over(variable, dataset)
    return [*curve(across.values, variable.values, width), f"{across.name} [{units_of(across)}]".rjust(width)]


def _listed(variable: "xr.DataArray", std: "xr.DataArray | None" = None) -> list[str]:
    """Coordinate and value, with its standard deviation where there is one: of a long variable both ends."""
    count = len(variable)
    kept = list(range(count)) if count <= 2 * ROWS + 1 else [*range(ROWS), *range(count - ROWS, count)]
    cells = list(_rows(variable[kept]))
    errors = [cell[-1] for cell in _rows(std[kept])] if std is not None and std.dims == variable.dims else [""] * len(kept)
    dim = str(variable.dims[0])
    size = max(len(text) for text in [dim, *(place for place, _ in cells)])
    lines = [f"{place:>{size}}  {_pair(value, error)}" for (place, value), error in zip(cells, errors, strict=True)]
    if len(kept) < count:
        lines.insert(ROWS, f"{'...':>{size}}  {count - len(kept):,} more (--table)")
    return [f"{dim:>{size}}  {variable.name}", *lines]


def _pair(value: str, std: str) -> str:
    return f"{value} ± {float(std):.2g}" if std else value


def _drawn(variable: "xr.DataArray", dataset: "xr.Dataset", width: int) -> list[str]:
    """Two dimensions: a line each of a short one, else a map. More: central slices through the last three, or two, of the middle of the others."""
    import numpy as np

    from fieldfit.command.characters import beside, shaded, sparkline
    from fieldfit.command.selection import SLICES, central

    spatial = tuple(variable.dims[-3:]) == ("x", "y", "z")
    kept = 3 if spatial else 2
    one, where = central(variable, dataset, kept)
    if variable.dtype.kind in "OUS":
        return list(table(one))
    short = min(range(2), key=lambda k: (one.dims[k] == "shot" and one.shape[1 - k] <= LINES, one.shape[k])) if one.ndim == 2 else 0
    if one.ndim == 2 and one.shape[short] <= LINES and not where:
        one = one.transpose(one.dims[short], one.dims[1 - short])
        names = [in_full(tick) for tick in one[one.dims[0]].values]
        margin = max(map(len, names)) + 2
        ends = [f"{figure(float(np.nanmin(row)))} to {figure(float(np.nanmax(row)))}" if np.isfinite(row).any() else "NaN" for row in one.values]
        room = max(8, width - margin - max(map(len, ends)) - 2)
        return [
            f"{one.dims[0]} by {one.dims[1]}:",
            *(f"{n:>{margin - 2}}  {sparkline(row, room)}  {end}" for n, row, end in zip(names, one.values, ends, strict=True)),
        ]
    title = [f"at {where}:"] if where else []
    if not spatial:
        return [*title, f"{one.dims[0]} down, {one.dims[1]} across:", *shaded(one.values, width)]
    room = (width - 6) // 3 if width >= 3 * NARROW + 6 else min(width, WIDE)
    planes = [(up, across, t, one.isel({t: one.sizes[t] // 2}).transpose(up, across).load()) for up, across, t in SLICES]
    finite = np.concatenate([plane.values[np.isfinite(plane.values)] for *_, plane in planes])
    limits = (float(finite.min()), float(finite.max())) if finite.size else None
    cuts = [
        [f"{across} across, {up} up, {t} = {float(plane[t]):.3g}", *shaded(plane.values[::-1], room, WIDE // 2, limits)]
        for up, across, t, plane in planes
    ]
    return [*title, *beside(cuts, width)]
