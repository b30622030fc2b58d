"""Sensors that are mirror images of each other see mirror images of the same light, where the detector is built symmetrically."""

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

SAME_PLACE = 0.1  # radii that a mirrored sensor may lie from its image
ASYMMETRY = 0.02  # relative difference of the light, from which it is told, and ...
ASYMMETRY_SIGMA = 5.0  # ... counting deviations of it


def mirror_images(box: Box, disks: Disks, axis: int) -> NDArray[np.int64] | None:
    """(channel) the image of each channel in the middle plane of the box; None unless every sensor has one and some is not its own."""
    middle = (box.lower[axis] + box.upper[axis]) / 2
    centre, normal = disks.centre.copy(), disks.normal.copy()
    centre[:, axis] = 2 * middle - centre[:, axis]
    normal[:, axis] *= -1
    away = np.linalg.norm(centre[:, None] - disks.centre, axis=2) + disks.radius[:, None] * np.linalg.norm(normal[:, None] - disks.normal, axis=2)
    image = np.argmin(away, axis=1)
    own = np.arange(disks.count)
    found = away[own, image] < SAME_PLACE * disks.radius
    alike = np.isclose(disks.radius[image], disks.radius, rtol=0.01)
    return image if found.all() and alike.all() and (image != own).any() else None


def asymmetric_pairs(
    values: NDArray[np.float32], used: NDArray[np.bool_], box: Box, disks: Disks, photons: float
) -> list[tuple[int, int, str, float]]:
    """Pairs of channels, the axis of the mirror, and by how much the second gets more light than the first, where that is no accident.

    values, used (channel, x, y, z): only voxels that are used in both, one the mirror image of the other, are compared.
    """
    found = []
    for axis in range(3):
        image = mirror_images(box, disks, axis)
        if image is None:
            continue
        for c, other in enumerate(image):
            if c >= other:
                continue
            both = used[c] & np.flip(used[other], axis)
            one, two = float(values[c][both].sum()), float(np.flip(values[other], axis)[both].sum())
            if one <= 0 or two <= 0:
                continue
            more, sigma = two / one - 1, np.sqrt((1 / one + 1 / two) / photons)
            if abs(more) > max(ASYMMETRY, ASYMMETRY_SIGMA * sigma):
                found.append((c, int(other), "xyz"[axis], more))
    return found
