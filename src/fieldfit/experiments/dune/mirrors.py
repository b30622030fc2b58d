"""Mirror images: channels that see the same light from mirrored places share their photons, where geometry has it so and the data agree.

A mirror is a change of sign of some of x, y, z at the box's centre that takes every sensor to a sensor. Under it v_c(x) = v_c'(M x)
with c' the image of c, if the walls are as symmetric as the sensors. That is asked of the photons: chi-square of the differences
over coarse cells. What passes is a group; its orbits of channels are the heads of `fields.visibility`.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

SLACK = 0.01  # of its radius, by which a sensor may lie beside the image of another
CELLS = 7  # coarse cells along an axis; odd, so that no voxel lies on the border of two mirrored cells
CHANCE = 1e-4  # probability below which photons speak against a mirror
ASYMMETRY = 0.02  # relative difference of the whole light of two images, from which it is a finding, and ...
ASYMMETRY_SIGMA = 5.0  # ... counting deviations of it

Volume = Callable[[int], tuple[NDArray[np.floating], NDArray[np.bool_]]]  # channel -> (values, masked) (x, y, z)
Made = float | NDArray[np.float64]  # photons made in every voxel, or in each (x, y, z)


@dataclass(frozen=True)
class Mirror:
    """sign: 1 or -1 along x, y, z; image (channel): the channel where each one's image is."""

    sign: tuple[int, int, int]
    image: tuple[int, ...]

    def flip(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A volume (x, y, z) as the mirror shows it."""
        return np.flip(volume, tuple(k for k in range(3) if self.sign[k] < 0))


@dataclass(frozen=True)
class Heads:
    """head (channel); sign (channel): where its mirror image is the head's first channel; first (head): that channel;
    mirrors: identity first; own (head): how many of them leave the first channel where it is."""

    head: tuple[int, ...]
    sign: tuple[tuple[int, int, int], ...]
    first: tuple[int, ...]
    mirrors: tuple[Mirror, ...]
    own: tuple[int, ...]


def mirrors_of(box: Box, disks: Disks) -> list[Mirror]:
    """All mirrors of the geometry, the identity first."""
    middle = (np.array(box.lower) + np.array(box.upper)) / 2
    found = []
    for sign in itertools.product((1, -1), repeat=3):
        place, looks = middle + (disks.centre - middle) * sign, disks.normal * sign
        apart = np.linalg.norm(place[:, None] - disks.centre, axis=2)
        image = np.argmin(apart, axis=1)
        same = (apart.min(1) < SLACK * disks.radius) & np.isclose(disks.radius[image], disks.radius, rtol=SLACK)
        if (same & (np.linalg.norm(disks.normal[image] - looks, axis=1) < SLACK)).all() and len(set(image.tolist())) == disks.count:
            found.append(Mirror((sign[0], sign[1], sign[2]), tuple(int(c) for c in image)))
    return found


def asymmetry(mirror: Mirror, read: Volume, photons: float) -> tuple[float, int, NDArray[np.float64]]:
    """(chi-square, degrees of freedom, relative difference (channel) of the whole light) between the channels and their images."""
    chi2, freedom = 0.0, 0
    whole = np.zeros(len(mirror.image))
    for c, partner in enumerate(mirror.image):
        if partner < c:
            whole[c] = -whole[partner]
            continue
        (here, bad), (there, worse) = read(c), read(partner)
        good = ~(bad | mirror.flip(worse))
        a, b = (coarse(np.where(good, v, 0)) * photons for v in (here, mirror.flip(there)))
        lit = a + b > 20
        chi2 += float((np.square(a - b) / np.maximum(a + b, 1))[lit].sum()) / (2 if partner == c else 1)
        freedom += int(lit.sum()) // (2 if partner == c else 1)
        total = a.sum() + b.sum()
        if partner != c and total > 0:
            chi2, freedom = chi2 + float((a.sum() - b.sum()) ** 2 / total), freedom + 1
            whole[c] = 2 * (a.sum() - b.sum()) / total
    return chi2, freedom, whole


def coarse(volume: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums of (x, y, z) over at most CELLS cells along each axis; commutes with mirrors."""
    total: NDArray[np.float64] = np.asarray(volume, np.float64)
    for axis, n in enumerate(volume.shape):
        cells = min(CELLS, n if n % 2 else n - 1)
        if cells < 1:
            continue
        cell = ((np.arange(n) + 0.5) / n * cells).astype(int)
        total = np.add.reduceat(total, np.searchsorted(cell, np.arange(cells)), axis)
    return total


def agreeing(mirrors: list[Mirror], read: Volume, photons: float) -> tuple[tuple[Mirror, ...], list[str]]:
    """(the largest group of mirrors that the photons agree with, a line of text for each mirror of the geometry)."""
    kept, told = [mirrors[0]], []
    for mirror in mirrors[1:]:
        chi2, freedom, whole = asymmetry(mirror, read, photons)
        chance = float(stats.chi2.sf(chi2, freedom)) if freedom else 0.0
        name = "".join(axis for axis, s in zip("xyz", mirror.sign, strict=True) if s < 0)
        worst = int(np.argmax(np.abs(whole)))
        if chance > CHANCE:
            kept.append(mirror)
            told.append(f"mirror images in {name} agree (chi-square {chi2:.0f} of {freedom})")
        elif freedom:
            told.append(
                f"mirror images in {name} differ (chi-square {chi2:.0f} of {freedom}): channel {worst} has {100 * whole[worst]:+.2g} % more light "
                f"than its image, channel {mirror.image[worst]}; not shared"
            )
    return _group(kept), told


def asymmetric_pairs(
    values: Callable[[int], NDArray[np.float32]], used: Callable[[int], NDArray[np.bool_]], box: Box, disks: Disks, photons: float
) -> list[tuple[int, int, str, float]]:
    """Pairs of channels, the axis of the mirror, and by how much the second gets more light than the first, where that is no accident.

    values, used (channel -> (x, y, z)): only voxels that are used in both, one the mirror image of the other, are compared.
    """
    found = []
    for mirror in mirrors_of(box, disks):
        axes = "".join(axis for axis, sign in zip("xyz", mirror.sign, strict=True) if sign < 0)
        for c, other in enumerate(mirror.image):
            if c >= other or len(axes) != 1:
                continue
            both = used(c) & mirror.flip(used(other))
            one, two = (float(np.sum(v, where=both, dtype=np.float64)) for v in (values(c), mirror.flip(values(other))))
            if one <= 0 or two <= 0:
                continue
            more, sigma = two / one - 1, np.sqrt((1 / one + 1 / two) / photons)
            if abs(more) > max(ASYMMETRY, ASYMMETRY_SIGMA * sigma):
                found.append((c, int(other), axes, more))
    return found


def _group(mirrors: list[Mirror]) -> tuple[Mirror, ...]:
    """The largest set of them that holds each product of two of its members."""
    signs = {mirror.sign: mirror for mirror in mirrors}
    product = lambda a, b: (a[0] * b[0], a[1] * b[1], a[2] * b[2])  # noqa: E731
    best = [(1, 1, 1)]
    for count in (1, 2, 3):
        for generators in itertools.combinations(signs, count):
            group = {(1, 1, 1)}
            for g in generators:
                group |= {product(g, h) for h in group}
            if group <= set(signs) and len(group) > len(best):
                best = sorted(group, reverse=True)
    return tuple(signs[sign] for sign in best)


def heads_of(mirrors: tuple[Mirror, ...]) -> Heads:
    """Channels that are images of each other, one head each set."""
    channels = len(mirrors[0].image)
    head, sign = [-1] * channels, [(1, 1, 1)] * channels
    first: list[int] = []
    own: list[int] = []
    for c in range(channels):
        if head[c] >= 0:
            continue
        for mirror in mirrors:
            if head[mirror.image[c]] < 0:
                head[mirror.image[c]], sign[mirror.image[c]] = len(first), mirror.sign
        first.append(c)
        own.append(sum(mirror.image[c] == c for mirror in mirrors))
    return Heads(tuple(head), tuple(sign), tuple(first), mirrors, tuple(own))


def pooled(heads: Heads, h: int, read: Volume, photons: Made) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(photons detected, photons made) (x, y, z) of a head's channels, as its first channel sees them; masked values left out."""
    parts = [(mirror, *read(mirror.image[heads.first[h]])) for mirror in heads.mirrors]
    made = [mirror.flip(np.where(masked, 0.0, photons)) for mirror, _, masked in parts]
    return np.asarray(sum(n * mirror.flip(values) for n, (mirror, values, _) in zip(made, parts, strict=True))), np.asarray(sum(made))
