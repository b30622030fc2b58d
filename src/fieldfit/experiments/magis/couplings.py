"""What couples to a differential phase and what oscillates in it: one weighted linear regression.

    y_s = offset + sum_q c_q z_qs + sum_l [a_l cos(2 pi f_l t_s) + b_l sin(2 pi f_l t_s)],   z_q = (q - mean) / std

Lines are found one after the other in the periodogram of what is left and fitted together with the couplings, so that neither takes from the
other. Weights are 1 / (std^2 + excess^2); the excess makes chi-square its degrees of freedom where counting alone does not explain the
scatter. An auxiliary channel measured with noise e has its coupling attenuated by std^2 / (std^2 + e^2) and leaves c e of noise behind: at
2 um of 60 um, 0.1 %; nothing is corrected for it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fieldfit.metrics.periodogram import FINER, periodogram, threshold

LINES = 6  # most lines that are taken out before the noise is judged


@dataclass(frozen=True)
class Regression:
    """corrected: y less the couplings; modulation: couplings and lines, without the offset; residual: y less all; excess [rad].

    value, value_std: coefficients for one standard deviation of each auxiliary quantity. lines (line, 4): frequency [Hz], cosine, sine and the
    standard deviation of the amplitude.
    """

    offset: float
    offset_std: float
    value: Float[np.ndarray, "coupling"]
    value_std: Float[np.ndarray, "coupling"]
    lines: Float[np.ndarray, "line 4"]
    corrected: Float[np.ndarray, "shot"]
    modulation: Float[np.ndarray, "shot"]
    residual: Float[np.ndarray, "shot"]
    excess: float
    chi2_reduced: float


def regress(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], auxiliary: Float[np.ndarray, "coupling shot"]
) -> Regression:
    """Fit offset, couplings and as many lines as are significant. A constant auxiliary quantity gets coefficient 0 and infinite deviation."""
    spread = auxiliary.std(1, keepdims=True)
    centred = auxiliary - auxiliary.mean(1, keepdims=True)
    varies = spread[:, 0] > 1e-12 * np.abs(auxiliary).max(1, initial=0.0)
    columns = np.concatenate([np.ones((1, len(time))), centred[varies] / spread[varies]])
    found: list[float] = []
    excess = 0.0
    # Weights first, from a fit without lines; then line after line, each time with the weights of what is left.
    for _ in range(LINES + 1):
        solution, covariance, residual, excess = _fit(time, value, std, columns, found, excess)
        spectrum = periodogram(time, residual, np.sqrt(std**2 + excess**2))
        strongest = int(np.argmax(spectrum.significance))
        if len(found) == LINES or spectrum.significance[strongest] < threshold(len(spectrum.frequency)):
            break
        found.append(_refined(time, residual, np.sqrt(std**2 + excess**2), float(spectrum.frequency[strongest])))
    design = _design(time, columns, found)
    first = len(columns)
    couplings = columns[1:].T @ solution[1:first]
    full, full_std = np.zeros(len(auxiliary)), np.full(len(auxiliary), np.inf)
    full[varies], full_std[varies] = solution[1:first], np.sqrt(np.diag(covariance)[1:first])
    return Regression(
        offset=float(solution[0]),
        offset_std=float(np.sqrt(covariance[0, 0])),
        value=full,
        value_std=full_std,
        lines=_lines(found, solution[first:], covariance[first:, first:]),
        corrected=value - couplings,
        modulation=design[:, 1:] @ solution[1:],
        residual=residual,
        excess=excess,
        chi2_reduced=float((residual**2 / std**2).sum() / max(1, len(value) - len(solution))),
    )


def _design(time: np.ndarray, columns: np.ndarray, lines: list[float]) -> np.ndarray:
    waves = [wave(2 * np.pi * f * time) for f in lines for wave in (np.cos, np.sin)]
    return np.concatenate([columns, np.array(waves).reshape(len(waves), len(time))]).T


def _fit(
    time: np.ndarray, value: np.ndarray, std: np.ndarray, columns: np.ndarray, lines: list[float], excess: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """(solution, covariance, residual, excess): weighted least squares, repeated until the excess scatter stands."""
    design = _design(time, columns, lines)
    for _ in range(6):
        weight = 1 / np.sqrt(std**2 + excess**2)
        matrix = design * weight[:, None]
        covariance = np.linalg.pinv(matrix.T @ matrix, hermitian=True)
        solution = covariance @ (matrix.T @ (value * weight))
        residual = value - design @ solution
        before, excess = excess, _excess(residual, std, max(1, len(value) - design.shape[1]))
        if abs(excess - before) <= 1e-3 * max(excess, 1e-6):
            break
    return solution, covariance, residual, excess


def _excess(residual: np.ndarray, std: np.ndarray, freedom: int) -> float:
    """Scatter beyond counting with which chi-square is its degrees of freedom, 0 where none is needed at two standard deviations."""
    if (residual**2 / std**2).sum() <= freedom + 2 * np.sqrt(2 * freedom):
        return 0.0
    low, high = 0.0, float(np.abs(residual).max())
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if (residual**2 / (std**2 + middle**2)).sum() > freedom else (low, middle)
    return high


def _refined(time: np.ndarray, residual: np.ndarray, std: np.ndarray, start: float) -> float:
    """Frequency of the deepest chi-square within one grid step, by golden section."""
    step = 1 / (FINER * float(np.ptp(time)))
    weight = 1 / std

    def chi2(frequency: float) -> float:
        angle = 2 * np.pi * frequency * time
        matrix = np.stack([np.ones_like(time), np.cos(angle), np.sin(angle)], 1) * weight[:, None]
        normal = matrix.T @ matrix
        right = matrix.T @ (residual * weight)
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
