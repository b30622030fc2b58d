"""Files that are written whole or not at all: a killed job leaves none that a later rule would take for complete."""

import errno
import glob
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldfit.types import InputError

# What a user can put right, and how. HDF5 tells the number in the text of its own errors.
REFUSALS = {
    errno.ENOSPC: "make room on that disk and run again",
    errno.EDQUOT: "make room in your quota and run again",
    errno.EROFS: "make it writable and run again",
    errno.EACCES: "make it writable and run again",
    errno.EPERM: "make it writable and run again",
}


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, with its suffix; renamed to `path` at the end, removed after an error.

    The name has host and process: two writers of one file, as when a cluster's job outlives the Snakemake that began it, share none.
    Raises InputError where the disk is full or the folder cannot be written.
    """
    unfinished = path.with_name(f".{socket.gethostname()}.{os.getpid()}~{path.name}")
    try:
        with refusals_told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _nothing_passed_over():
                yield unfinished
            os.replace(unfinished, path)
    finally:
        if os.access(path.parent, os.W_OK):  # on a disk that was made read-only in mid-write the file stays, and the next job removes it
            unfinished.unlink(missing_ok=True)


@contextmanager
def refusals_told(path: Path) -> Iterator[None]:
    """Raise InputError where `path` cannot be written and a user can put it right."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        code = refusal_of(error)
        if code is None:
            raise
        raise InputError(f"{path}: cannot be written ({os.strerror(code)}), {REFUSALS[code]}: what is done is kept") from None


@contextmanager
def _nothing_passed_over() -> Iterator[None]:
    """Raise what could only be printed: HDF5 writes its last chunks when a dataset is let go, and a refusal there would leave a file with holes."""
    passed: list[BaseException] = []
    usual = sys.unraisablehook

    def kept(told: Any) -> None:
        passed.append(told.exc_value) if isinstance(told.exc_value, OSError | RuntimeError) else usual(told)

    sys.unraisablehook = kept
    try:
        yield
    finally:
        sys.unraisablehook = usual
    if passed:
        raise passed[0]


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left under its temporary names.

    For a job that is about to write `path`, and is its only writer by right. One that a killed Snakemake left running on some node is told
    from a dead one by nothing that holds on every cluster; its file loses its name, so that it fails at its end and harms nothing.
    """
    for left in path.parent.glob(f".*~{glob.escape(path.name)}"):
        left.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise InputError where nothing can be written into a folder that is there: better now than after hours of computing."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: nothing can be written into this folder (read-only), expected one that can be; nothing was run")


def refusal_of(error: BaseException) -> int | None:
    """The number of the refusal that an error is, None for an error of another kind."""
    told = re.search(r"\berrno = (\d+)", str(error))
    code = error.errno if isinstance(error, OSError) and error.errno is not None else int(told[1]) if told else None
    return code if code in REFUSALS else None
