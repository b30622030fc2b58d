"""The report: every product's pictures on one page."""

from collections.abc import Sequence
from pathlib import Path

from fieldfit.io.products import provenance_line
from fieldfit.io.whole import whole
from fieldfit.report import absorption, design, dune, gallery, geometry, gradiometer, imaging, pictures, sensor, setup, surface
from fieldfit.report.page import Section, page
from fieldfit.report.picture import Picture

INTRO = "Neural fields fitted to experiment data through differentiable physics. Every number comes from the NetCDF products listed below each part."


def write_report(products: Sequence[Path], output: Path) -> None:
    """One self-contained HTML page at `output`, a section an entry, in the order of `products` (results/{section}/{name}/...)."""
    entries: dict[tuple[str, str], list[Path]] = {}
    for path in products:
        parts = path.parts[path.parts.index("results") + 1 :]
        entries.setdefault((parts[0], parts[1]), []).append(path)
    sections = [_section(experiment, name, paths) for (experiment, name), paths in entries.items()]
    with whole(output) as unfinished:
        unfinished.write_text(page("fieldfit", INTRO, sections))


def _section(experiment: str, name: str, paths: Sequence[Path]) -> Section:
    title = f"{experiment.capitalize() if experiment in ('design', 'gallery') else experiment.upper()}: {name}"
    return Section(f"{experiment}-{name}", title, _pictures(experiment, paths), [provenance_line(path) for path in paths])


def _pictures(experiment: str, paths: Sequence[Path]) -> list[Picture]:
    """An entry's pictures: which room draws them is told by the names of its products."""
    named = {path.name: path for path in paths}
    if experiment == "dune":
        return dune.pictures(named["visibility.nc"], named.get("calibration.nc"), named.get("flashes.nc"))
    if experiment == "design":
        return design.pictures(paths[0])
    if experiment == "gallery":
        return gallery.pictures(named["tomogram.nc"])
    if "gradiometer.nc" in named:
        return gradiometer.pictures(named["gradiometer.nc"])
    if "optical_density.nc" in named:
        return absorption.pictures(named["optical_density.nc"])
    densities = [path for path in paths if path.parent.name == "density"]
    sensors = [picture for path in paths if path.parent.name == "sensor" for picture in sensor.pictures(path)]
    if not densities:
        return pictures.pictures(named["phase.nc"])
    refined = geometry.pictures(named["geometry.nc"]) if "geometry.nc" in named else []
    surfaces = surface.pictures([path for path in paths if path.parent.name == "surface"])
    return imaging.pictures(densities, named["phase.nc"]) + refined + surfaces + setup.pictures(named["setup.nc"]) + sensors
