"""Alarms of a night: figures beyond the limits of the configuration, rows of the budget that fail, what could not be processed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import xarray as xr

from fieldfit.config.operation import Alarms
from fieldfit.contract.magis import BudgetStatus
from fieldfit.report.quantities import Quantity

FEWEST_NIGHTS = 3  # earlier nights below which nothing is compared with them


@dataclass(frozen=True)
class Alarm:
    """text: one sentence with run, value and limit; value and limit are NaN where a thing is there or not."""

    run: str
    figure: str
    value: float
    limit: float
    text: str


def raised(run: str, figures: Mapping[str, Quantity], limits: Alarms, last: Sequence[Mapping[str, float]]) -> list[Alarm]:
    """Alarms of a run's figures. last: the figures of earlier nights by name."""
    # (figure, limit, whether the figure must stay below)
    table: tuple[tuple[str, float | None, bool], ...] = (
        ("shots received", limits.fewest_shots, False),
        ("share flagged", limits.flagged_share, True),
        ("share of numbers absent", limits.missing_share, True),
        ("chi2 a degree of freedom", limits.chi2_reduced, True),
        ("contrast", limits.contrast, False),
        ("resolution", limits.resolution_um, True),
        ("phase error", limits.phase_std_mrad, True),
        ("seconds a shot", limits.seconds_a_shot, True),
    )
    found = []
    for name, limit, below in table:
        value = figures[name].value if name in figures else math.nan
        if limit is not None and math.isfinite(value) and (value > limit) == below and value != limit:
            unit = "" if figures[name].units == "1" else f" {figures[name].units}"
            found.append(Alarm(run, name, value, limit, f"{run}: {name} is {value:.4g}{unit}, limit {limit:g}{unit}"))
    most, before = limits.atom_number_change, usual("atom number", last)
    atoms = figures["atom number"].value if "atom number" in figures else math.nan
    if most is not None and abs(atoms / before - 1) > most:
        text = f"{run}: atom number is {atoms:.4g}, {atoms / before - 1:+.0%} from {before:.4g} of the last nights, limit {most:.0%}"
        found.append(Alarm(run, "atom number", atoms, before * (1 + math.copysign(most, atoms - before)), text))
    return found


def usual(figure: str, last: Sequence[Mapping[str, float]]) -> float:
    """Median of a figure over the earlier nights, NaN where there are fewer than FEWEST_NIGHTS that have it."""
    values = [value for night in last if math.isfinite(value := night.get(figure, math.nan))]
    return median(values) if len(values) >= FEWEST_NIGHTS else math.nan


def failed_rows(run: str, product: xr.Dataset) -> list[Alarm]:
    """Measured rows of the systematics budget that miss their target."""
    if "budget" not in product.dims:
        return []
    found = []
    for name in product.budget.values:
        row = product.sel(budget=name)
        if int(row.budget_status) == BudgetStatus.failed:
            value, target, units = float(row.budget_value), float(row.budget_target), str(row.budget_units.values)
            found.append(Alarm(run, str(name), value, target, f"{run}: {name} is {value:.4g} {units}, target {target:g} {units}"))
    return found


def told(run: str, figure: str, text: str) -> Alarm:
    """Alarm of a thing that is there and should not be: a failed block, a file that cannot be read, a run without shots."""
    return Alarm(run, figure, math.nan, math.nan, f"{run}: {text}")
