"""Absorption triplets as TIFF: three files a shot, with atoms (`Image_*`), without atoms (`Probe_*`), without light (`Background_*`).

What the star stands for is the shot's tag, common to its three files; the number at the end of the tag is the shot's number. A shot
whose files are missing or bad is flagged with the reason and never harms the others.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Float32

from fieldfit.io.exposure import BadFrame, told
from fieldfit.io.tiff import read_tiff, tiff_time
from fieldfit.paths import SUFFIXES, check_link, shot_number
from fieldfit.types import InputError, Status, nearest

MEMBERS = ("image", "probe", "background")
SMALLEST = 32  # pixels along an edge: fewer cannot hold atoms and light around them


@dataclass(frozen=True)
class Triplet:
    """The files of one shot: none, one, or (by mistake) several a member. expected: the members' names in the folder, without suffix."""

    shot: int
    files: Mapping[str, tuple[Path, ...]]
    expected: Mapping[str, Path]


def find_triplets(raw: Path, patterns: Mapping[str, str]) -> tuple[Triplet, ...]:
    """The shots of a folder by number, ascending. patterns: a file name with one * for each of MEMBERS; the suffix is .tif or .tiff.

    Raises InputError when the folder is absent, no file fits, two tags end in the same number, or a link leads out of the folder.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder, expected three TIFF files a shot: {', '.join(patterns.values())}")
    pictures = sorted(path for path in raw.iterdir() if path.suffix.lower() in SUFFIXES["tiff"])
    found: dict[str, dict[str, list[Path]]] = {}
    for path in pictures:
        for member, pattern in patterns.items():
            before, after = pattern.split("*")
            name = path.stem
            if len(name) > len(before) + len(after) and name.startswith(before) and name.endswith(after):
                check_link(raw, path)
                found.setdefault(name[len(before) : len(name) - len(after)], {}).setdefault(member, []).append(path)
    if not found:
        some = ", ".join(path.name for path in pictures[:3]) or "no TIFF file"
        raise InputError(f"{raw}: no file is named like {', '.join(patterns.values())} with suffix .tif or .tiff; found {some}")
    tags: dict[int, str] = {}
    for tag in found:
        number = shot_number(tag)
        if number in tags:
            raise InputError(f"{raw}: shot {number} is there twice, with the tags '{tags[number]}' and '{tag}'")
        tags[number] = tag
    return tuple(
        Triplet(
            shot,
            {member: tuple(found[tag].get(member, ())) for member in MEMBERS},
            {member: raw / patterns[member].replace("*", tag) for member in MEMBERS},
        )
        for shot, tag in sorted(tags.items())
    )


def common_shape(triplets: tuple[Triplet, ...]) -> tuple[int, int]:
    """(row, column) that most of the files have. Raises InputError, with each one's reason, when none can be read."""
    shapes: Counter[tuple[int, int]] = Counter()
    reasons = []
    for triplet in triplets:
        for paths in triplet.files.values():
            for path in paths:
                try:
                    shapes[_header(path)] += 1
                except BadFrame as bad:
                    reasons.append(str(bad))
    if not shapes:
        raise InputError("none of the frames can be read:\n" + "\n".join(reasons))
    return shapes.most_common(1)[0][0]


def read_triplet(triplet: Triplet, shape: tuple[int, int]) -> Float32[np.ndarray, "member row column"]:
    """Image, probe and background of a shot [DN].

    Raises BadFrame when a member is missing, there twice, of another shape or type than expected, truncated or damaged.
    """
    frames = []
    for member in MEMBERS:
        paths, expected = triplet.files[member], triplet.expected[member]
        if not paths:
            beside = [path.name for path in expected.parent.iterdir() if path.suffix.lower() in SUFFIXES["tiff"] and path.stem != expected.name]
            raise BadFrame(Status.missing, f"{expected}.tif: the {member} is missing{nearest(expected.name + '.tif', beside)}")
        if len(paths) > 1:
            raise BadFrame(Status.corrupt, f"the {member} is there twice, as {' and '.join(path.name for path in paths)}")
        found = _header(paths[0])
        if found != shape:
            raise BadFrame(Status.corrupt, f"{paths[0]}: the {member} has shape {found}, expected {shape} as most frames of the run")
        frames.append(read_tiff(paths[0], [shape])[0].astype(np.float32))
    return np.stack(frames)


def time_stamp(triplet: Triplet) -> float:
    """Time [s] that the image's file tells, NaN where it tells none. Raises BadFrame for one that cannot be read."""
    return tiff_time(triplet.files["image"][0])


def _header(path: Path) -> tuple[int, int]:
    """(row, column) of a file with one grey page. Raises BadFrame for any other."""
    if not path.is_file():  # a pipe would be waited for
        raise BadFrame(Status.corrupt, f"{path}: no file, expected a TIFF")
    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            pages, shape = len(tiff.pages), tuple(int(edge) for edge in page.shape)
    except Exception as error:
        raise BadFrame(Status.corrupt, f"{path}: not a readable TIFF ({told(error)}), the file is truncated or damaged") from None
    if pages != 1 or len(shape) != 2 or min(shape) < SMALLEST:
        raise BadFrame(Status.corrupt, f"{path}: {pages} pages of shape {shape}, expected one page (row, column) of {SMALLEST} x {SMALLEST} or more")
    return shape[0], shape[1]
