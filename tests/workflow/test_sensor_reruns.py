"""A calibration reruns the blocks that it holds for, and no others."""

import json

import numpy as np
from dag import jobs_of, snakemake

from fieldfit.simulate.frames import write_tiff
from fieldfit.simulate.layouts import ring_of_cameras

SIZE = (32, 30)


def run_of(folder, calibrations):
    """Six shots in three blocks at 100, 101, ... s, and the frames of the calibrations."""
    layout = ring_of_cameras()
    layout["cameras"] = [camera | {"resolution_hw": list(SIZE)} for camera in layout["cameras"][:2]]
    (folder / "cameras.json").write_text(json.dumps(layout))
    random = np.random.default_rng(1)
    for n in range(6):
        write_tiff(folder / f"shots/shot{n}.tif", random.poisson(30, (2, *SIZE)).astype(np.uint16), 100.0 + n)
    for name in calibrations:
        for n in range(4):
            write_tiff(folder / name / f"shot{n}.tif", random.poisson(5, (2, *SIZE)).astype(np.uint16))
    entry = {"format": "tiff", "raw": "shots", "cameras": "cameras.json", "block_size": 2, "start": 100.0}
    return lambda **own: {"magis": {"run": entry | {"calibrations": {name: {"dark": name, **keys} for name, keys in own.items()}}}}


def blocks_of(run):
    text = run.stdout + run.stderr
    return {f"000{n}" for n in range(3) if f"output: results/magis/run/electrons/000{n}.nc" in text}


def test_a_new_calibration_reruns_only_the_blocks_that_it_holds_for(tmp_path):
    config = run_of(tmp_path, ("first", "second"))
    targets = [f"results/magis/run/electrons/000{n}.nc" for n in range(3)]

    def dry_run(**calibrations):
        return snakemake(tmp_path, "-n", *targets, config=config(**calibrations))

    done = snakemake(tmp_path, *targets, config=config(first={}))
    assert done.returncode == 0, done.stdout + done.stderr
    added = dry_run(first={}, second={"valid_from": 104.0})
    assert blocks_of(added) == {"0002"}
    assert jobs_of(added) == {"characterise_sensor": 1, "calibrate_frames": 1}
    assert blocks_of(dry_run(first={}, second={"valid_from": 101.5, "valid_until": 103.5})) == {"0001"}
    write_tiff(tmp_path / "first/shot9.tif", np.full((2, *SIZE), 5, np.uint16))  # one more dark frame
    rest = dry_run(first={}, second={"valid_from": 0.0})
    assert blocks_of(rest) == {"0000", "0001", "0002"}
    assert jobs_of(rest)["characterise_sensor"] == 1  # the first holds for no shot any more
    assert blocks_of(dry_run(first={}, second={"valid_from": 104.0})) == {"0000", "0001", "0002"}
