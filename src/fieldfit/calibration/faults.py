"""What can be wrong with a shot whose frames were read: saturated, empty, the cloud at the border of a field, or a view that is dark.

A view's usual share of the light is its median over the block's lit shots: mirrors let through very different parts of it. In a short
block, and for a view that is dark in most shots, the share that its lens should catch stands for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldfit.types import Status

EMPTY_SIGMA = 6.0  # light above the pedestal, in standard deviations of the noise without light, below which nothing is seen
DARK_SHARE, DARK_SHARE_STATED = 0.5, 0.2  # of the light that a view should have: as usual in the block, or as the camera file says
FEWEST_LIT = 8  # shots that show what is usual
NEVER_SEEN = 0.1  # of the share that the camera file says: a view that usually has less is always dark
BORDER = 0.05  # of the rows or columns: the strip along each side of a view
BORDER_SHARE = 0.08  # of a view's light in one strip, beyond that in the faintest of the four


@dataclass(frozen=True)
class Seen:
    """Electrons of the shots' views, bad pixels left out.

    light (shot, view): above the pedestal; noise (shot, view): its standard deviation without light; strips (shot, view, 4): light along each
    side; strip_noise (shot, view): of one strip; full (shot, view): number of pixels at or above `saturation` (shot, view) [DN].
    """

    light: np.ndarray
    noise: np.ndarray
    strips: np.ndarray
    strip_noise: np.ndarray
    full: np.ndarray
    saturation: np.ndarray


def strips_of(sizes: Sequence[tuple[int, int]], shape: tuple[int, int, int]) -> np.ndarray:
    """(4, view, row, column): the strips along the top, bottom, left and right of views of these (rows, columns) in an array of `shape`."""
    strips = np.zeros((4, *shape), bool)
    for view, (rows, columns) in enumerate(sizes):
        high, wide = max(1, round(BORDER * rows)), max(1, round(BORDER * columns))
        strips[0, view, :high, :columns] = strips[1, view, rows - high : rows, :columns] = True
        strips[2, view, :rows, :wide] = strips[3, view, :rows, columns - wide : columns] = True
    return strips


def faults(seen: Seen, places: Sequence[int], catch: np.ndarray) -> dict[int, tuple[Status, str]]:
    """What is wrong with the shots at `places`. catch (view): light that each lens should catch, in any units."""
    found = {place: fault for place in places if (fault := _alone(seen, place))}
    lit = [place for place in places if place not in found]
    expected, least = usual_shares(seen.light[lit], catch / catch.sum())
    for place in lit:
        if fault := _dark(seen.light[place], seen.noise[place], expected, least):
            found[place] = fault
    return found


def usual_shares(light: np.ndarray, stated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((view) share of a shot's light that each view should have, (view) part of it below which it is dark). light (shot, view) of lit shots."""
    expected, least = stated.copy(), np.full(len(stated), DARK_SHARE_STATED)
    if len(light) >= FEWEST_LIT:
        usual = np.median(light / light.sum(1, keepdims=True), axis=0)
        known = usual > NEVER_SEEN * stated
        expected[known], least[known] = usual[known], DARK_SHARE
    return expected, least


def _alone(seen: Seen, place: int) -> tuple[Status, str] | None:
    """What a shot shows without the others."""
    light, noise, full = seen.light[place], seen.noise[place], seen.full[place]
    if full.any():
        view = int(np.argmax(full))
        return Status.saturated, f"view {view} has {int(full[view])} pixels at or above {seen.saturation[place, view]:g} DN"
    spread = float(np.sqrt((noise**2).sum()))
    if light.sum() < EMPTY_SIGMA * np.sqrt(spread**2 + 1):
        told = f"{light.sum():.0f} electrons above the pedestal in all views, noise {spread:.0f}"
        return Status.empty, f"{told}: no light, or the cloud outside of every view"
    strips = seen.strips[place]
    beyond = strips.max(1) - strips.min(1)
    clear = beyond > EMPTY_SIGMA * np.sqrt(2 * seen.strip_noise[place] ** 2 + np.abs(strips).sum(1) + 1)
    share = np.where(clear, beyond / np.maximum(light, 1), 0.0)
    view = int(np.argmax(share))
    if share[view] > BORDER_SHARE:
        side = ("top", "bottom", "left", "right")[int(np.argmax(strips[view]))]
        return Status.outside, f"{100 * strips[view].max() / light[view]:.0f} % of the light of view {view} lies along the {side} of its field"
    return None


def _dark(light: np.ndarray, noise: np.ndarray, expected: np.ndarray, least: np.ndarray) -> tuple[Status, str] | None:
    """Views that are dark while others are bright; most of them: the others alone see the cloud."""
    relative = light / expected
    brightest = relative.max()
    told = expected * brightest > EMPTY_SIGMA * noise  # a view too faint to tell is left alone
    dark = np.flatnonzero((relative < least * brightest) & told)
    if not dark.size:
        return None
    names = f"view{'s' if dark.size > 1 else ''} {', '.join(map(str, dark))} {'are' if dark.size > 1 else 'is'}"
    if 2 * dark.size > len(light):
        return Status.outside, f"{names} dark: the cloud lies outside of the field that all views share, or most of them are blocked"
    why = f"{light[dark].sum():.0f} electrons above the pedestal, {(expected[dark] * brightest).sum():.0f} expected"
    return Status.corrupt, f"{names} dark while others are bright: {why}"
