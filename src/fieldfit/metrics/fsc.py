"""Fourier shell correlation of two volumes.

    FSC(k) = Re sum_shell F1 conj(F2) / sqrt( sum |F1|^2 sum |F2|^2 )          (Harauz and van Heel, Optik 73, 146 (1986))
    half-bit threshold                                                          (van Heel and Schatz, J. Struct. Biol. 151, 250 (2005))

Threshold 0.143 for two halves of the data, 0.5 against truth (Rosenthal and Henderson, J. Mol. Biol. 333, 721 (2003)).
A soft mask (fourth root of a Hann window) keeps the cube's edges out of the spectrum.
"""

from dataclasses import dataclass

import numpy as np

HALVES = 0.143  # correlation of two halves of the data down to which they agree


@dataclass(frozen=True)
class ShellCorrelation:
    """frequency (shell) [1/m]; correlation (shell); half_bit (shell): threshold; power (shell): mean |F|^2 of the first volume;
    std (shell): standard error from the number of independent voxels, (1 - FSC^2) / sqrt(n)."""

    frequency: np.ndarray
    correlation: np.ndarray
    half_bit: np.ndarray
    power: np.ndarray
    std: np.ndarray


def shell_correlation(first: np.ndarray, second: np.ndarray, pitch: float) -> ShellCorrelation:
    """Correlation of two cubes (n, n, n) with voxels of `pitch` [m], on shells of thickness 1/(n pitch) up to Nyquist.

    Raises ValueError when the volumes are no cubes of one shape.
    """
    n = first.shape[0]
    if first.shape != (n, n, n) or second.shape != first.shape:
        raise ValueError(f"volumes of shape {first.shape} and {second.shape}, expected two equal cubes")
    window = np.hanning(n + 2)[1:-1] ** 0.25
    mask = window[:, None, None] * window[:, None] * window
    a, b = np.fft.rfftn(first * mask), np.fft.rfftn(second * mask)
    k, half = np.fft.fftfreq(n) * n, np.fft.rfftfreq(n) * n
    shell = np.round(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + half**2)).astype(int).ravel()
    # rfftn holds one of each Hermitian pair, save in the planes 0 and n/2 which hold both.
    twice = np.broadcast_to(np.where((half == 0) | (2 * half == n), 1.0, 2.0), a.shape).ravel()
    last = n // 2 + 1

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell, values.ravel() * twice, minlength=last)[:last]

    powers = summed(np.abs(a) ** 2), summed(np.abs(b) ** 2)
    correlation = summed((a * b.conj()).real) / np.sqrt(powers[0] * powers[1] + 1e-300)
    count = summed(np.ones(a.shape))
    independent = np.maximum(count / 2, 1)
    root = 1 / np.sqrt(independent)
    half_bit = (0.2071 + 1.9102 * root) / (1.2071 + 0.9102 * root)
    return ShellCorrelation(np.arange(last) / (n * pitch), correlation, half_bit, powers[0] / np.maximum(count, 1), (1 - correlation**2) * root)


def resolution(curve: ShellCorrelation, threshold: float = HALVES) -> float:
    """Length [m] at which the correlation first falls through `threshold`, linear between shells; the Nyquist length where it never does."""
    below = np.flatnonzero(curve.correlation < threshold)
    if not below.size or below[0] == 0:
        return float("nan") if below.size else float(1 / curve.frequency[-1])
    last = below[0]
    high, low = curve.correlation[last - 1], curve.correlation[last]
    frequency = curve.frequency[last - 1] + (high - threshold) / (high - low) * (curve.frequency[last] - curve.frequency[last - 1])
    return float(1 / frequency)
