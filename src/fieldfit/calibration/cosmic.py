"""Pixels that a cosmic ray hit, in one shot only.

A hit stands out of its own surroundings, and of what the block's other shots show there, each by HIT_SIGMA sqrt(n) + HIT_SHARE n (n: counts
there): a fringe that moves and a small bright object are in the other shots too, a track is not. And it is sharper than an image can be: SHARP
times the fainter pair of pixels that face each other across it. The middle of a spot of one pixel's standard deviation is not, a line one pixel
wide is: in blocks of fewer than three shots such a line in the object itself is taken for a track, unless it has MOST of its view's light, or
more than half of the views have lines with LINES of theirs: rays do not come to all of them at once.
What is three pixels wide each way is an object or a blinded sensor: it is left to the other checks.
"""

import numpy as np
from scipy.ndimage import binary_erosion, binary_fill_holes, label, maximum_filter, uniform_filter

HIT_SIGMA, HIT_SHARE = 8.0, 0.5
SHARP = 3.0  # exp(1) for the diagonals of a Gaussian of one pixel
EDGE_SIGMA = 4.0  # of the pixels beside a hit, which it touched as well
REACH = 2  # pixels on each side that are the surroundings
MOST, LINES = 0.3, 0.01  # of a view's light: hits do not leave so much, in one view and in most of them
FEWEST = 3  # shots that show what is usual
WHOLE = np.ones((3, 3), bool)
FACING = np.array([((0, -1), (0, 1)), ((-1, 0), (1, 0)), ((-1, -1), (1, 1)), ((-1, 1), (1, -1))])
AROUND = np.array([(r, c) for r in range(-REACH, REACH + 1) for c in range(-REACH, REACH + 1) if (r, c) != (0, 0)])


def usual_brightest(counts: np.ndarray) -> np.ndarray | None:
    """(view, row, column): the second largest counts of some shots (shot, view, row, column), the largest of the surroundings; None from too few.

    The second, since the largest may itself be a hit.
    """
    if len(counts) < FEWEST:
        return None
    return maximum_filter(np.partition(counts, -2, axis=0)[-2], size=(1, 2 * REACH + 1, 2 * REACH + 1))


def hits(counts: np.ndarray, bad: np.ndarray, usual: np.ndarray | None) -> np.ndarray:
    """(view, row, column) of the pixels that were hit in one shot. counts: electrons whose variance is their mean; bad: pixels left out."""
    counts = np.where(bad, 0.0, counts)
    # A mean is quick to take: it chooses the pixels that are looked at.
    mean = uniform_filter(counts, size=(1, 2 * REACH + 1, 2 * REACH + 1), mode="nearest")
    found = np.zeros(counts.shape, bool)
    share = np.zeros(len(counts))
    for view, (image, left_out) in enumerate(zip(counts, bad, strict=True)):
        likely = np.argwhere((image > mean[view] + EDGE_SIGMA * np.sqrt(np.maximum(mean[view], 0) + 1)) & ~left_out)
        if not likely.size:
            continue
        value = image[tuple(likely.T)]
        bright = value > _limit(surroundings(image, left_out, likely), HIT_SIGMA)
        if usual is not None:
            bright &= value > _limit(usual[view][tuple(likely.T)], HIT_SIGMA)
        likely, value = likely[bright], value[bright]
        sharp = likely[value > SHARP * facing(image, left_out, likely)[0]]
        if not sharp.size:
            continue
        found[view][tuple(likely.T)] = True
        found[view] = _tracks(found[view], sharp)
        beside = np.argwhere(maximum_filter(found[view], size=3) & ~found[view] & ~left_out)
        around = surroundings(image, left_out | found[view], beside)
        found[view][tuple(beside[image[tuple(beside.T)] > _limit(around, EDGE_SIGMA)].T)] = True
        light = np.where(left_out, 0.0, image - np.median(image))
        share[view] = light[found[view]].sum() / light.sum() if light.sum() > 0 else 0.0
    if usual is None:
        found[share > (0.0 if (share > LINES).mean() > 0.5 else MOST)] = False
    return found


def surroundings(image: np.ndarray, left_out: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n,) medians of the pixels around `places` (n, 2) in an image (row, column); 0 where all of them are left out."""
    values = _beside(image, left_out, places, AROUND)
    values[np.isnan(values).all(1)] = 0.0
    return np.nanmedian(values, axis=1)


def facing(image: np.ndarray, left_out: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the least and the largest mean of two pixels that face each other across a pixel of `places` (n, 2), of four pairs; both infinite
    without neighbours."""
    pairs = _beside(image, left_out, places, FACING.reshape(-1, 2)).reshape(-1, 4, 2)
    known = ~np.isnan(pairs)
    means = np.where(known, pairs, 0.0).sum(2) / np.maximum(known.sum(2), 1)
    there = known.any(2)
    most = np.where(there, means, -np.inf).max(1)
    return np.where(there, means, np.inf).min(1), np.where(there.any(1), most, np.inf)


def healed(electrons: np.ndarray, hit: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """(view, row, column): electrons with every hit pixel replaced by the median of its surroundings."""
    whole = electrons.copy()
    for image, source, struck, left_out in zip(whole, electrons, hit, bad, strict=True):
        places = np.argwhere(struck)
        if places.size:
            image[tuple(places.T)] = surroundings(source, struck | left_out, places)
    return whole


def _beside(image: np.ndarray, left_out: np.ndarray, places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(n, step) pixels at `steps` (row, column) from `places`, NaN where left out or beyond the image."""
    wide = np.pad(np.where(left_out, np.nan, image), REACH, constant_values=np.nan)
    at = places[:, None] + steps + REACH
    return wide[at[..., 0], at[..., 1]]


def _tracks(bright: np.ndarray, sharp: np.ndarray) -> np.ndarray:
    """Connected pixels of `bright` (row, column) with a sharp one among them, in which, filled up, no square of 3 x 3 fits. sharp (n, 2): places."""
    solid = binary_fill_holes(bright)
    joined, _ = label(solid, structure=WHOLE)
    wide = joined[binary_erosion(solid, structure=WHOLE)]
    return bright & np.isin(joined, np.setdiff1d(joined[tuple(sharp.T)], wide))


def _limit(counts: np.ndarray, sigma: float) -> np.ndarray:
    counts = np.maximum(counts, 0)
    return counts + sigma * np.sqrt(counts + 1) + HIT_SHARE * counts
