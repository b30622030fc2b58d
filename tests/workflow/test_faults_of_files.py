"""Disks, shots and clocks fail: what can be done is done, what cannot is told, and once it is mended the next call makes the rest."""

import contextlib
import os
import shutil
import time

import pytest
import yaml
from dag import TINY, jobs_of, only, snakemake
from faults import (
    DENSITY,
    NIGHT,
    ROOM,
    RUN,
    SHOTS,
    assert_as_undisturbed,
    assert_same_values,
    begun,
    copied,
    left_over,
    nightly,
    reasons,
    text,
    wait_for,
    write_night,
)

from fieldfit.command.main import main
from fieldfit.io.products import open_product

RAW = f"data/{NIGHT}/shots"
YEAR = 365 * 86400


def fill(path):
    """A file that takes all the room there is."""
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def test_a_full_disk_and_a_read_only_one_are_told_in_one_line_each_and_the_next_call_goes_on(undisturbed, tmp_path, small_disk):
    small_disk("size=64m")
    folder = copied(undisturbed, tmp_path, without=(DENSITY,))
    fill(folder / "results/filler")
    run = nightly(folder)
    assert run.returncode == 1
    assert f"fieldfit: {DENSITY}: cannot be written (No space left on device), make room on that disk and run again" in text(run)
    assert "h5py" not in text(run)
    assert not (folder / DENSITY).exists()
    assert left_over(folder) == []

    small_disk("ro")
    run = nightly(folder)
    assert run.returncode == 1
    assert "results: nothing can be written into this folder (read-only)" in text(run)
    assert "Traceback" not in text(run)
    assert jobs_of(run) == {}

    small_disk("rw")
    (folder / "results/filler").unlink()
    assert_as_undisturbed(nightly(folder), folder, undisturbed)


def test_bad_shots_are_told_the_others_done_and_a_repaired_one_reruns_its_block_alone(undisturbed, tmp_path):
    """One truncated among good ones, and a block of which one shot is empty and the other no TIFF. The repaired files are older than the products."""
    folder = copied(undisturbed, tmp_path)
    for shot, content in ((1, (undisturbed / RAW / "shot0001.tif").read_bytes()[:-5000]), (2, b""), (3, b"no TIFF")):
        (folder / RAW / f"shot000{shot}.tif").write_bytes(content)
    run = nightly(folder)
    assert run.returncode == 0, text(run)
    assert jobs_of(run)["fit_density"] == jobs_of(run)["calibrate_frames"] == 2
    assert reasons(folder) == {"good": [0, 4, 5], "corrupt": [1, 2, 3]}
    told = open_product(folder / ROOM / "phase.nc", "phase").attrs["flagged"]
    for shot in (1, 2, 3):
        assert f"shot {shot} is corrupt: {RAW}/shot000{shot}.tif" in told
    assert_same_values(folder / ROOM / "density/0002.nc", undisturbed / ROOM / "density/0002.nc")

    for shot in (1, 2, 3):
        good = undisturbed / RAW / f"shot000{shot}.tif"
        shutil.copy2(good, folder / "aside.tif")
        os.utime(folder / "aside.tif", (time.time() - YEAR, time.time() - YEAR))
        os.replace(folder / "aside.tif", folder / RAW / good.name)
    run = nightly(folder)
    assert jobs_of(run)["fit_density"] == jobs_of(run)["calibrate_frames"] == 2
    assert_as_undisturbed(run, folder, undisturbed)


@pytest.mark.slow
def test_a_truncated_shot_file_among_good_ones_is_told_and_waited_for(tmp_path):
    """HDF5: the file's shots are not known, so that the night cannot be called finished."""
    from fieldfit.io.tiff import read_tiff
    from fieldfit.simulate.frames import write_shot_file

    write_night(tmp_path)
    raw = tmp_path / RAW
    frames = [read_tiff(raw / f"shot000{shot}.tif", [(200, 200)] * 6) for shot in range(SHOTS)]
    shutil.rmtree(raw)
    raw.mkdir()
    for part in range(3):
        write_shot_file(raw / f"part{part}.h5", [(shot, frames[shot]) for shot in (2 * part, 2 * part + 1)])
    config = yaml.safe_load((tmp_path / "c.yaml").read_text())
    config["magis"]["clouds"]["format"] = "hdf5"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    whole = copied(tmp_path, tmp_path.parent / "whole")
    assert nightly(whole).returncode == 0
    content = (raw / "part1.h5").read_bytes()
    (raw / "part1.h5").write_bytes(content[: len(content) // 2])
    run = nightly(tmp_path)
    assert run.returncode == 3
    assert "part1.h5: cannot be read as HDF5" in text(run)
    assert reasons(tmp_path) == {"good": [0, 1, 4, 5]}
    (raw / "part1.h5").write_bytes(content)
    run = nightly(tmp_path)
    assert jobs_of(run)["fit_density"] == 1
    assert_as_undisturbed(run, tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_a_shot_that_comes_while_the_night_runs_is_done_by_the_next_call(undisturbed, tmp_path, half):
    """After the DAG is built and before its block's job is over; at first absent, or short."""
    folder = copied(undisturbed, tmp_path)
    late = folder / RAW / "shot0003.tif"
    content = late.read_bytes()
    late.write_bytes(content[: len(content) // 2]) if half else late.unlink()
    run = begun(folder, faults="hold=estimate_phase")  # after the DAG is built and its block is calibrated
    wait_for(lambda: (folder / "faults/hold").is_file())
    late.write_bytes(content)
    (folder / "faults/go").touch()
    assert run.wait(timeout=300) == 0
    assert {shot for shots in reasons(folder).values() for shot in shots} == set(range(SHOTS))
    again = nightly(folder)
    assert jobs_of(again)["fit_density"] == 1
    assert_as_undisturbed(again, folder, undisturbed)


def test_a_frame_that_grows_in_its_shots_folder_is_seen(tmp_path):
    """The folder's own time stands still while a file in it is written: a frame that was half there would stay corrupt for good."""
    from fieldfit.catalogue import Place, version_of

    shot = tmp_path / "shot0001"
    shot.mkdir()
    (shot / "frame_cam0.tif").write_bytes(b"half")
    before, folder_time = version_of(Place(shot)), shot.stat().st_mtime_ns
    with (shot / "frame_cam0.tif").open("ab") as frame:
        frame.write(b" and the rest")
    assert shot.stat().st_mtime_ns == folder_time
    assert version_of(Place(shot)) != before


@pytest.mark.slow
def test_a_product_that_is_seen_late_is_waited_for(undisturbed, tmp_path):
    """As a file server shows a file seconds after the job on another node has ended."""
    folder = copied(undisturbed, tmp_path, without=(DENSITY,))
    run = nightly(folder, "--latency-wait", "30", faults="late=density/0000.nc")
    assert (folder / "faults/late").is_file()
    assert_as_undisturbed(run, folder, undisturbed)
    (folder / DENSITY).unlink()
    (folder / "faults/late").unlink()
    run = nightly(folder, "--latency-wait", "1", faults="late=density/0000.nc")
    assert run.returncode == 1
    time.sleep(4)  # it comes when nobody waits any more
    assert_as_undisturbed(nightly(folder), folder, undisturbed)


@pytest.mark.slow
def test_clocks_that_jump_make_no_stale_product(undisturbed, tmp_path):
    """What is older or newer than it can be is made again or left as it is; it is never taken for what it is not."""
    folder, ahead = copied(undisturbed, tmp_path), time.time() + YEAR
    electrons = folder / ROOM / "electrons/0000.nc"
    os.utime(electrons, (ahead, ahead))  # made while the clock was ahead: what follows is older than it
    run = nightly(folder)
    assert jobs_of(run)["fit_density"] == 1
    assert_as_undisturbed(run, folder, undisturbed)
    assert "Nothing to be done" in text(nightly(folder, "-n"))  # and not at every call again

    for product in (folder / "results").rglob("*.*"):
        os.utime(product, (ahead, ahead))  # all of the night was made while it was ahead
    other, shot = (folder / RAW / "shot0005.tif").read_bytes(), folder / RAW / "shot0001.tif"
    content, was = shot.read_bytes(), shot.stat()
    shot.write_bytes(other)
    os.utime(shot, (time.time() - YEAR, time.time() - YEAR))  # another shot in its place, older than everything
    faults = "kill_before_rename=density/0000.nc"
    assert nightly(folder, faults=faults).returncode == 1  # cut off when the electrons are new and the densities are not
    run = nightly(folder)
    assert run.returncode == 0, text(run)
    assert jobs_of(run)["fit_density"] == jobs_of(run)["estimate_phase"] == jobs_of(run)["report_night"] == 1
    phases = open_product(folder / ROOM / "phase.nc", "phase").phase.values
    assert abs(phases[1] - phases[5]) < 0.1  # both show one cloud

    shot.write_bytes(content)
    os.utime(shot, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert_as_undisturbed(nightly(folder), folder, undisturbed)

    cameras = folder / f"data/{NIGHT}/cameras.json"
    cameras.write_text(cameras.read_text() + "\n")
    os.utime(cameras, (time.time() - YEAR, time.time() - YEAR))
    assert jobs_of(nightly(folder, "-n"))["calibrate_frames"] == 3


@pytest.mark.slow
def test_a_corrupted_product_of_an_earlier_night_is_found_by_its_checksum_and_made_again(undisturbed, tmp_path, monkeypatch, capsys):
    folder = copied(undisturbed, tmp_path)
    monkeypatch.chdir(folder)
    content, stat = bytearray((folder / DENSITY).read_bytes()), (folder / DENSITY).stat()
    content[len(content) // 2] ^= 0xFF
    (folder / DENSITY).write_bytes(content)
    os.utime(folder / DENSITY, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert main(["verify"]) == 1
    told = capsys.readouterr().out
    assert "9 products: 8 intact, 1 CORRUPTED" in told
    assert f"rm -f {DENSITY}\n" in told
    (folder / DENSITY).unlink()
    assert_as_undisturbed(nightly(folder), folder, undisturbed)
    assert RUN in told


@pytest.mark.slow
def test_a_library_and_tracks_replaced_by_older_files_are_read_again(tmp_path):
    """Snakemake compares times, and a file put in place of another may be older than what was made of that."""
    calibration, config = "results/dune/box/calibration.nc", only(TINY, "box")
    run = snakemake(tmp_path, "demo/library.root", config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    measured = {"dune": {"box": {key: value for key, value in config["dune"]["box"].items() if key != "simulate"}}}
    run = snakemake(tmp_path, calibration, config=measured)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Nothing to be done" in snakemake(tmp_path, calibration, "-n", config=measured).stdout
    for file, first in (("tracks.h5", "calibrate_visibility"), ("library.root", "read_library")):
        os.utime(tmp_path / "demo" / file, (time.time() - YEAR, time.time() - YEAR))
        jobs = jobs_of(snakemake(tmp_path, calibration, "-n", config=measured))
        assert jobs[first] == 1 and (jobs["fit_visibility"] == 1) == (first == "read_library"), jobs
