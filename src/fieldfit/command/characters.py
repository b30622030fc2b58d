"""Plots made of characters, for a terminal of any width: curves of braille dots, maps in shades."""

import numpy as np

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # braille bits by (row, column) of a character
SHADES = " ░▒▓█"
SPARKS = "▁▂▃▄▅▆▇█"
TALL = 2.1  # height of a character over its width


def curve(x: np.ndarray, y: np.ndarray, width: int, height: int = 8) -> list[str]:
    """Points (n) as braille dots with the range of y at the left and of x below; points that are NaN are left out.

    width, height: characters of the whole plot, axis labels included.
    """
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return ["(no finite value)"]
    x, y = x[good].astype(np.float64), y[good].astype(np.float64)
    labels = [f"{y.max():.4g}", f"{y.min():.4g}"]
    margin = max(map(len, labels)) + 1
    across = max(8, width - margin - 1)
    cells = np.zeros((height, across), int)
    column = _placed(x, 2 * across)
    row = 4 * height - 1 - _placed(y, 4 * height)
    for r, c in zip(row, column, strict=True):
        cells[r // 4, c // 2] |= DOTS[r % 4][c % 2]
    lines = []
    for k, line in enumerate(cells):
        label = labels[0] if k == 0 else labels[1] if k == height - 1 else ""
        lines.append(f"{label:>{margin}}│" + "".join(chr(0x2800 + int(cell)) for cell in line))
    first, last = f"{x.min():.6g}", f"{x.max():.6g}"
    return [*lines, " " * margin + "└" + first + " " * max(1, across - len(first) - len(last)) + last]


def sparkline(y: np.ndarray, width: int) -> str:
    """One character for each of `width` stretches of y (n), by their mean; a blank where all is NaN."""
    means = _means(y[None].astype(np.float64), 1, min(width, y.size))[0]
    finite = np.isfinite(means)
    if not finite.any():
        return " " * means.size
    low, high = means[finite].min(), means[finite].max()
    level = np.where(finite, (means - low) / (high - low or 1.0), 0.0)
    return "".join(SPARKS[round(float(v) * (len(SPARKS) - 1))] if good else " " for v, good in zip(level, finite, strict=True))


def shaded(image: np.ndarray, width: int, height: int = 24, limits: tuple[float, float] | None = None) -> list[str]:
    """An image (row, column) in five shades between limits (default: its own), no wider than `width`, its edges in proportion to its shape."""
    rows, columns = image.shape
    across = max(1, min(width, int(height * TALL * columns / rows), int(columns * TALL)))
    down = max(1, min(height, round(across * rows / columns / TALL)))
    means = _means(image.astype(np.float64), down, across)
    finite = np.isfinite(means)
    if not finite.any():
        return ["(no finite value)"]
    low, high = limits or (means[finite].min(), means[finite].max())
    level = np.where(finite, (means - low) / (high - low or 1.0) * (len(SHADES) - 1), 0.0).clip(0, len(SHADES) - 1).round().astype(int)
    return ["".join(SHADES[k] if good else "·" for k, good in zip(line, seen, strict=True)) for line, seen in zip(level, finite, strict=True)]


def beside(pictures: list[list[str]], width: int, gap: str = "   ") -> list[str]:
    """Pictures of lines side by side, or one below the other where they do not fit."""
    widths = [max(map(len, picture)) for picture in pictures]
    if sum(widths) + len(gap) * (len(pictures) - 1) > width:
        return [line for picture in pictures for line in [*picture, ""]][:-1]
    tallest = max(map(len, pictures))
    filled = [
        [line.ljust(size) for line in picture] + [" " * size] * (tallest - len(picture)) for picture, size in zip(pictures, widths, strict=True)
    ]
    return [gap.join(parts).rstrip() for parts in zip(*filled, strict=True)]


def _placed(values: np.ndarray, steps: int) -> np.ndarray:
    """Which of `steps` equal steps of the values' range each lies in."""
    low, high = values.min(), values.max()
    return np.rint((values - low) / (high - low or 1.0) * (steps - 1)).astype(int)


def _means(image: np.ndarray, down: int, across: int) -> np.ndarray:
    """(down, across) means of the finite values of an image's parts; an image that is smaller is repeated."""
    good = np.isfinite(image)
    total, count = np.where(good, image, 0.0), good.astype(np.float64)
    for axis, steps in enumerate((down, across)):
        size = image.shape[axis]
        if size < steps:
            place = np.arange(steps) * size // steps
            total, count = np.take(total, place, axis), np.take(count, place, axis)
        else:
            begin = np.arange(steps) * size // steps
            total, count = np.add.reduceat(total, begin, axis), np.add.reduceat(count, begin, axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
