"""A file is written whole or not at all, whoever else writes or wrote it."""

import errno
import os
import subprocess
import sys

import pytest

from fieldfit import provenance
from fieldfit.io.products import write_product
from fieldfit.io.whole import check_writable, refusal_of, remove_unfinished, whole
from fieldfit.provenance import checksum, checksum_file, sha256
from fieldfit.types import InputError

KILLED = """
import os, signal, sys
from pathlib import Path
from fieldfit.io.whole import whole
with whole(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_no_file_of_that_name_and_the_next_one_removes_what_it_left(tmp_path):
    path = tmp_path / "phase.nc"
    path.write_text("before")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert path.read_text() == "before"
    (left,) = (file for file in tmp_path.iterdir() if file != path)
    assert left.name.startswith(".") and left.suffix == ".nc"
    for other in ("another_phase.nc", ".unfinished_phase.nc"):
        (tmp_path / other).touch()
    remove_unfinished(path)
    assert {file.name for file in tmp_path.iterdir()} == {"phase.nc", "another_phase.nc", ".unfinished_phase.nc"}


def test_of_two_writers_of_one_file_the_one_that_began_last_wins(tmp_path):
    """A job that a killed Snakemake left running on a node, and the one that the next call starts."""
    path = tmp_path / "phase.nc"
    left_behind = whole(path)
    left_behind.__enter__().write_text("of the job left behind")
    remove_unfinished(path)
    path.write_text("of the new job")
    with pytest.raises(FileNotFoundError):
        left_behind.__exit__(None, None, None)
    assert path.read_text() == "of the new job"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC),
        (OSError("Can't write data (file write failed: time = ..., errno = 28, error message = 'No space left on device')"), errno.ENOSPC),
        (RuntimeError("Problems closing file (file write failed: errno = 122, error message = 'Disk quota exceeded')"), errno.EDQUOT),
        (OSError(errno.EROFS, "Read-only file system"), errno.EROFS),
        (OSError("Unable to synchronously open file (truncated file)"), None),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
    ],
)
def test_what_a_user_can_put_right_is_one_message(tmp_path, error, code):
    assert refusal_of(error) == code
    with pytest.raises(InputError if code else type(error)) as told, whole(tmp_path / "phase.nc"):
        raise error
    if code:
        assert str(told.value).startswith(f"{tmp_path / 'phase.nc'}: cannot be written ({os.strerror(code)})")


def test_a_refusal_when_a_dataset_is_let_go_is_not_passed_over(tmp_path):
    """HDF5 writes its last chunks then; Python only prints an error of a destructor."""

    class Dataset:
        def __del__(self):
            raise RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')")

    with pytest.raises(InputError, match="No space left on device"), whole(tmp_path / "phase.nc") as unfinished:
        unfinished.write_text("with a hole") and Dataset()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_be_written_or_is_not_there_passes(tmp_path):
    check_writable(tmp_path)
    check_writable(tmp_path / "absent")


def test_a_checksum_of_the_product_before_is_not_taken_for_the_new_one(tmp_path, monkeypatch):
    """Killed between the two renames, after the clock jumped back: by the times the old checksum would still hold."""
    import xarray as xr

    path = tmp_path / "phase.nc"
    written = xr.Dataset().assign_attrs(product="phase")
    write_product(written, path, [], {}, "A phase", "a_step")
    ahead = path.stat().st_mtime_ns + 10**12
    os.utime(checksum_file(path), ns=(ahead, ahead))
    rename = os.replace

    def killed(source, target):
        if target == checksum_file(path):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_product(written.assign_attrs(another="one"), path, [], {}, "A phase", "a_step")
    assert checksum(path) == sha256(path)


def test_a_product_is_read_for_its_checksum_once_and_again_when_it_changes(tmp_path, monkeypatch):
    """Snakemake sets the time of a product anew after its job: a product newer than its record may be the same, or not."""
    import xarray as xr

    path = tmp_path / "phase.nc"
    write_product(xr.Dataset().assign_attrs(product="phase"), path, [], {}, "A phase", "a_step")
    read = []
    monkeypatch.setattr(provenance, "sha256", lambda p: read.append(p) or sha256(p))
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    first = checksum(path)
    assert read == [path] and first == checksum(path) == sha256(path)
    assert read == [path]
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path, ns=(later + 1, later + 1))
    assert checksum(path) == checksum(path) == sha256(path) != first
    assert read == [path] * 3  # its record is not of it: it is read each time
