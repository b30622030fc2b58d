"""The systematics budget of a run: each row a measured value with its uncertainty, a target and a verdict.

White noise of sigma a shot at rate fs has the one-sided amplitude density sigma sqrt(2 / fs); rows in x/sqrt(Hz) are that density of the
scatter over shots. A run that does not measure a quantity says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fieldfit.contract.magis import BudgetStatus


@dataclass(frozen=True)
class Target:
    """limit in `units`; below: whether the value must stay below the limit (noise) or reach it (LMT order)."""

    limit: float
    units: str
    below: bool = True


# The experiment's requirements; velocity, pointing, field and laser frequency need channels that port runs do not carry.
TARGETS: dict[str, Target] = {
    "LMT order": Target(100, "1", below=False),
    "phase resolution": Target(1e-3, "rad Hz-0.5"),
    "laser frequency noise": Target(10, "Hz"),
    "position a shot": Target(10, "um Hz-0.5"),
    "velocity a shot": Target(10, "um s-1 Hz-0.5"),
    "wavefront variation": Target(5, "mrad"),
    "laser intensity": Target(0.1, "% Hz-0.5"),
    "laser pointing": Target(30, "nrad Hz-0.5"),
    "magnetic field uniformity": Target(1, "mG"),
}


@dataclass(frozen=True)
class Row:
    """One row; value and std are NaN where the run does not measure it."""

    name: str
    value: float
    std: float
    target: float
    units: str
    status: BudgetStatus


def budget(measured: Mapping[str, tuple[float, float]]) -> list[Row]:
    """All rows of TARGETS, with the (value, standard deviation) of those that were measured.

    Raises KeyError for a quantity that the table does not have.
    """
    unknown = set(measured) - set(TARGETS)
    if unknown:
        raise KeyError(f"no rows {sorted(unknown)} in the budget, known: {sorted(TARGETS)}")
    rows = []
    for name, target in TARGETS.items():
        value, std = measured.get(name, (math.nan, math.nan))
        if not math.isfinite(value):
            status = BudgetStatus.not_measured
        else:
            status = BudgetStatus.passed if (value <= target.limit) == target.below else BudgetStatus.failed
        rows.append(Row(name, value, std if math.isfinite(value) else math.nan, target.limit, target.units, status))
    return rows


def phase_density(residual: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], rate: float) -> tuple[float, float]:
    """(amplitude density, its standard deviation) [rad / sqrt(Hz)] of a series whose shots have unequal errors.

    The shots' weights w = 1 / std^2 say what each is worth: sigma^2 = shots sum(w^2 r^2) / sum(w)^2, the scatter that a plain series of as many
    equal shots would need to know its mean as well.
    """
    weight = 1 / std**2
    pull = weight * residual
    variance = len(residual) * (pull @ pull) / weight.sum() ** 2
    freedom = (weight.sum()) ** 2 / (weight @ weight)  # shots that really count (Kish)
    value = math.sqrt(2 * variance / rate)
    return value, value / math.sqrt(2 * max(1.0, freedom - 1))


def scatter_density(value: Float[np.ndarray, "shot"], rate: float) -> tuple[float, float]:
    """(amplitude density, its standard deviation) of the scatter of `value` over shots, in its unit per sqrt(Hz), taken as white."""
    density = float(np.std(value, ddof=1)) * math.sqrt(2 / rate)
    return density, density / math.sqrt(2 * max(1, len(value) - 1))
