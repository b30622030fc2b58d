"""The report: every product's pictures on one page."""

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from fieldfit.io.text import write_text
from fieldfit.report import design, dune, gradiometer, imaging, pictures
from fieldfit.report.page import Section, page
from fieldfit.report.picture import Picture

Draw = Callable[[Sequence[Path]], list[Picture]]

INTRO = "Neural fields fitted to experiment data through differentiable physics. Every number comes from the NetCDF products listed below each part."


def write_report(products: Sequence[Path], output: Path) -> None:
    """One self-contained HTML page at `output`, a section an entry, in the order of `products` (results/{section}/{name}/...)."""
    entries: dict[tuple[str, str], list[Path]] = {}
    for path in products:
        parts = path.parts[path.parts.index("results") + 1 :]
        entries.setdefault((parts[0], parts[1]), []).append(path)
    sections = [_section(experiment, name, paths) for (experiment, name), paths in entries.items()]
    write_text(output, page("fieldfit", INTRO, sections))


def _section(experiment: str, name: str, paths: Sequence[Path]) -> Section:
    draw = _drawer(experiment, paths)
    return Section(f"{experiment}-{name}", f"{experiment.upper() if experiment != 'design' else 'Design'}: {name}", draw(paths), [_line(p) for p in paths])


def _drawer(experiment: str, paths: Sequence[Path]) -> Draw:
    """What draws an entry's products, told by their names."""
    if experiment == "dune":
        return dune.pictures
    if experiment == "design":
        return design.pictures
    if any(path.name == "gradiometer.nc" for path in paths):
        return gradiometer.pictures
    return imaging.pictures if len(paths) > 1 else pictures.pictures


def _line(path: Path) -> tuple[str, str]:
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as found:
        a = found.attrs
        return str(path), f"{a['title']}; fieldfit {a['fieldfit_version']}, commit {a['git_commit'][:12]}, configuration {a['config_sha256'][:12]}, seed {a['seed']}"
