"""What couples to a differential phase and what oscillates in it: one weighted linear regression.

    y_s = offset + sum_q c_q z_qs + sum_l [a_l cos(2 pi f_l t_s) + b_l sin(2 pi f_l t_s)],   z_q = (q - mean) / std

Lines are found one after the other in the periodogram of what is left and fitted together with the couplings, so that neither takes from the
other. Weights are 1 / (std^2 + excess^2); the excess makes chi-square its degrees of freedom where counting alone does not explain the
scatter. An auxiliary channel measured with noise e has its coupling attenuated by std^2 / (std^2 + e^2) and leaves c e of noise behind: at
2 um of 60 um, 0.1 %; nothing is corrected for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fieldfit.experiments.magis.port_model import blocks
from fieldfit.metrics.periodogram import FINER, frequency_grid, strongest, threshold

LINES = 6  # most lines that are taken out before the noise is judged


@dataclass(frozen=True)
class Regression:
    """What was fitted to one series [rad].

    value, value_std: coefficients for one standard deviation of each auxiliary quantity; mean, slope: what it is referred to, and the
    coefficient for one unit of it. lines (line, 4): frequency [Hz], cosine, sine and the standard deviation of the amplitude.
    """

    offset: float
    offset_std: float
    value: Float[np.ndarray, "coupling"]
    value_std: Float[np.ndarray, "coupling"]
    mean: Float[np.ndarray, "coupling"]
    slope: Float[np.ndarray, "coupling"]
    lines: Float[np.ndarray, "line 4"]
    excess: float
    chi2_reduced: float

    def coupled(self, auxiliary: Float[np.ndarray, "coupling shot"]) -> Float[np.ndarray, "shot"]:
        """What the auxiliary quantities of some shots do to the phase [rad]."""
        return self.slope @ (auxiliary - self.mean[:, None])

    def oscillating(self, time: Float[np.ndarray, "shot"]) -> Float[np.ndarray, "shot"]:
        """All lines [rad]."""
        out = np.zeros(len(time))
        for frequency, a, b, _ in self.lines:
            out += a * np.cos(2 * np.pi * frequency * time) + b * np.sin(2 * np.pi * frequency * time)
        return out


def regress(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], auxiliary: Float[np.ndarray, "coupling shot"]
) -> Regression:
    """Fit offset, couplings and as many lines as are significant. A constant auxiliary quantity gets coefficient 0 and infinite deviation."""
    mean, spread = (np.array([getattr(row, name)(dtype=float) for row in auxiliary]).reshape(len(auxiliary)) for name in ("mean", "std"))
    varies = spread > 1e-12 * np.array([max(abs(row.min()), abs(row.max())) for row in auxiliary]).reshape(len(auxiliary))
    found: list[float] = []
    excess = 0.0

    def design(part: slice) -> np.ndarray:
        """Columns of some shots: constant, couplings, cosine and sine of each line."""
        constant = np.ones((1, len(time[part])))
        scaled = (auxiliary[varies, part] - mean[varies, None]) / spread[varies, None]
        return np.concatenate([constant, scaled, *(_wave(f, time[part]) for f in found)]).T

    # Weights first, from a fit without lines; then line after line, each time with the weights of what is left.
    for _ in range(LINES + 1):
        solution, covariance, residual, excess = _fit(design, value, std, excess)
        scatter = np.sqrt(std**2 + excess**2)
        frequency, significance = strongest(time, residual, scatter)
        if len(found) == LINES or significance < threshold(frequency_grid(time)[1]):
            break
        found.append(_refined(time, residual, scatter, frequency))
        del residual, scatter
    first = 1 + int(varies.sum())
    full, full_std, slope = np.zeros(len(auxiliary)), np.full(len(auxiliary), np.inf), np.zeros(len(auxiliary))
    full[varies], full_std[varies] = solution[1:first], np.sqrt(np.diag(covariance)[1:first])
    slope[varies] = full[varies] / spread[varies]
    return Regression(
        offset=float(solution[0]),
        offset_std=float(np.sqrt(covariance[0, 0])),
        value=full,
        value_std=full_std,
        mean=mean,
        slope=slope,
        lines=_lines(found, solution[first:], covariance[first:, first:]),
        excess=excess,
        chi2_reduced=_chi2(residual, std, 0.0) / max(1, len(value) - len(solution)),
    )


def _wave(frequency: float, time: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * frequency * time
    return np.stack([np.cos(angle), np.sin(angle)])


def _normal(
    design: Callable[[slice], np.ndarray], value: np.ndarray, std: np.ndarray, excess: float
) -> tuple[Float[np.ndarray, "column column"], Float[np.ndarray, "column"]]:
    """(matrix, right-hand side) of weighted least squares, shots a block at a time."""
    matrix, right = 0.0, 0.0
    for part in blocks(len(value)):
        columns, weight = design(part), 1 / (std[part] ** 2 + excess**2)
        weighted = columns * weight[:, None]
        matrix, right = matrix + weighted.T @ columns, right + weighted.T @ value[part]
    return np.asarray(matrix), np.asarray(right)


def _fit(
    design: Callable[[slice], np.ndarray], value: np.ndarray, std: np.ndarray, excess: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """(solution, covariance, residual, excess): weighted least squares, repeated until the excess scatter stands."""
    residual = np.empty_like(value)
    for _ in range(6):
        matrix, right = _normal(design, value, std, excess)
        covariance = np.linalg.pinv(matrix, hermitian=True)
        solution = covariance @ right
        for part in blocks(len(value)):
            residual[part] = value[part] - design(part) @ solution
        before, excess = excess, _excess(residual, std, max(1, len(value) - len(solution)))
        if abs(excess - before) <= 1e-3 * max(excess, 1e-6):
            break
    return solution, covariance, residual, excess


def _chi2(residual: np.ndarray, std: np.ndarray, excess: float) -> float:
    return sum(float((residual[part] ** 2 / (std[part] ** 2 + excess**2)).sum()) for part in blocks(len(residual)))


def _excess(residual: np.ndarray, std: np.ndarray, freedom: int) -> float:
    """Scatter beyond counting with which chi-square is its degrees of freedom, 0 where none is needed at two standard deviations."""
    if _chi2(residual, std, 0.0) <= freedom + 2 * np.sqrt(2 * freedom):
        return 0.0
    low, high = 0.0, float(max(residual.max(), -residual.min()))
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _chi2(residual, std, middle) > freedom else (low, middle)
    return high


def _refined(time: np.ndarray, residual: np.ndarray, std: np.ndarray, start: float) -> float:
    """Frequency of the deepest chi-square within one grid step, by golden section."""
    step = 1 / (FINER * float(np.ptp(time)))

    def chi2(frequency: float) -> float:
        normal, right = _normal(lambda part: np.concatenate([np.ones((1, len(time[part]))), _wave(frequency, time[part])]).T, residual, std, 0.0)
        return -float(right @ np.linalg.lstsq(normal, right, rcond=None)[0])

    low, high, golden = start - step, start + step, (np.sqrt(5) - 1) / 2
    for _ in range(24):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if chi2(left) < chi2(right) else (left, high)
    return float((low + high) / 2)


def _lines(found: list[float], solution: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    rows = []
    for k, frequency in enumerate(found):
        a, b = solution[2 * k : 2 * k + 2]
        along = np.array([a, b]) / max(np.hypot(a, b), 1e-300)
        rows.append([frequency, a, b, np.sqrt(along @ covariance[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] @ along)])
    return np.array(rows).reshape(len(rows), 4)
