"""The DAG has the jobs that the configuration asks for, and refuses what no entry makes."""

import numpy as np
import pytest
import tifffile
import xarray as xr
from dag import TINY, jobs_of, only, snakemake


def text(run) -> str:
    return run.stdout + run.stderr


def test_demo_asks_for_every_experiment(tmp_path):
    run = snakemake(tmp_path, "-n")
    assert run.returncode == 0, text(run)
    jobs = jobs_of(run)
    assert jobs["describe_setup"] == jobs["calibrate_frames"] == jobs["fit_density"] == jobs["estimate_phase"] == 1
    assert jobs["fit_pictures"] == jobs["fit_gradiometer"] == 1
    assert jobs["read_library"] == jobs["fit_visibility"] == jobs["calibrate_visibility"] == 1
    assert jobs["export_visibility_box"] == 1
    assert jobs["optimise_material"] == 2
    assert jobs["evaluate_design"] == jobs["estimate_toy"] == jobs["write_report"] == 1


def test_a_configuration_of_ones_own_replaces_the_demo(tmp_path):
    jobs = jobs_of(snakemake(tmp_path, "-n", config=only(TINY, "toy")))
    assert set(jobs) == {"all", "estimate_toy", "write_report"}


def test_a_job_stands_for_a_block_of_shots(tmp_path):
    shots = tmp_path / "shots"
    for shot in (0, 1, 63, 64, 200):
        (shots / f"shot{shot:05d}").mkdir(parents=True)
    (tmp_path / "cameras.json").write_text("{}")
    entry = {"format": "tiff", "raw": "shots", "cameras": "cameras.json"}
    run = snakemake(tmp_path, "-n", config={"magis": {"night": entry}})
    assert jobs_of(run)["fit_density"] == 3
    for block in ("0000", "0001", "0003"):
        assert f"results/magis/night/density/{block}.nc" in text(run)


def test_the_set_up_is_described_from_the_camera_file_alone(tmp_path):
    (tmp_path / "shots/shot000").mkdir(parents=True)
    (tmp_path / "cameras.json").write_text("{}")
    entry = {"format": "tiff", "raw": "shots", "cameras": "cameras.json"}
    run = snakemake(tmp_path, "-n", "results/magis/night/setup.nc", config={"magis": {"night": entry}})
    assert set(jobs_of(run)) == {"describe_setup"}


def test_a_printed_objects_surfaces_follow_from_the_densities_and_the_drawing(tmp_path):
    for shot in (0, 70):
        (tmp_path / f"shots/shot{shot:03d}").mkdir(parents=True)
    (tmp_path / "cameras.json").write_text("{}")
    entry = {"format": "tiff", "raw": "shots", "cameras": "cameras.json", "object": {"cad": "drawing.stl"}}
    run = snakemake(tmp_path, "-n", config={"magis": {"print": entry}})
    assert jobs_of(run)["extract_surface"] == jobs_of(run)["fit_density"] == 2
    run = snakemake(tmp_path, "-n", "results/magis/print/surface/0001.nc", config={"magis": {"print": entry}})
    assert set(jobs_of(run)) == {"calibrate_frames", "fit_density", "extract_surface"}
    del entry["object"]
    run = snakemake(tmp_path, "-n", "results/magis/print/surface/0001.nc", config={"magis": {"print": entry}})
    assert "results/magis/print/surface/0001.nc: no entry of the configuration makes this product" in text(run)


def test_a_visibility_is_exported_calibrated_where_there_are_tracks(tmp_path):
    box = TINY["dune"]["box"] | {"export": {"formats": ["numpy", "larsoft"]}}
    run = snakemake(tmp_path, "-n", "results/dune/box/export/photon_library.root", config={"dune": {"box": box}})
    assert set(jobs_of(run)) == {"simulate_library_box", "read_library", "fit_visibility", "calibrate_visibility", "export_visibility_box"}
    for file in ("photon_library.root", "weights.safetensors", "evaluate.py", "efficiency.json"):
        assert f"results/dune/box/export/{file}" in text(run)
    assert "visibility.onnx" not in text(run)


def test_a_new_shot_reruns_its_own_block_only(tmp_path):
    """The block's digest is in its job's params: a later shot leaves the earlier blocks as they are."""
    from fieldfit.config.load import load_config
    from fieldfit.plan import Plan

    def blocks():
        entry = {"format": "tiff", "raw": str(tmp_path), "cameras": "c.json", "block_size": 2}
        return Plan(load_config({"magis": {"run": entry}})).shots.blocks("run")

    for shot in range(3):
        tifffile.imwrite(tmp_path / f"shot{shot:03d}.tif", np.zeros((2, 2), np.uint16))
    before = blocks()
    tifffile.imwrite(tmp_path / "shot003.tif", np.zeros((2, 2), np.uint16))
    after = blocks()
    assert before["0000"] == after["0000"]
    assert before["0001"] != after["0001"]


def test_a_refined_geometry_comes_between_electrons_and_densities(tmp_path):
    clouds = TINY["magis"]["clouds"]
    for refine, target in (("shots", None), ("points.csv", "points.csv")):
        (tmp_path / "points.csv").write_text("view,x_m,y_m,z_m,row,column,std_px\n")
        run = snakemake(tmp_path, "-n", "results/magis/clouds/phase.nc", config={"magis": {"clouds": clouds | {"refine": refine}}})
        assert run.returncode == 0, text(run)
        assert jobs_of(run)["refine_geometry"] == 1
        assert jobs_of(run)["fit_density"] == 2
        assert (target in text(run)) if target else ("results/magis/clouds/geometry.nc" in text(run))


def test_nightly_makes_one_run(tmp_path):
    jobs = jobs_of(snakemake(tmp_path, "nightly", "-n", "--config", "night=ports", config=TINY))
    assert set(jobs) == {"nightly", "simulate_ports_ports", "fit_gradiometer", "catalogue_shots", "report_night"}


def test_nightly_of_an_unknown_run_names_the_nearest(tmp_path):
    run = snakemake(tmp_path, "nightly", "-n", "--config", "night=port", config=TINY)
    assert run.returncode != 0
    assert "night: no run 'port' under magis; did you mean 'ports'?" in text(run)


def test_paper_makes_the_run_level_products(tmp_path):
    run = snakemake(tmp_path, "paper", "-n", config=TINY)
    assert run.returncode == 0
    assert jobs_of(run)["write_report"] == 1


def test_a_product_that_no_entry_makes_is_refused_with_the_nearest(tmp_path):
    run = snakemake(tmp_path, "-n", "results/magis/cloud/phase.nc", config=TINY)
    assert run.returncode != 0
    assert "results/magis/cloud/phase.nc: no entry of the configuration makes this product; did you mean 'results/magis/clouds/phase.nc'?" in text(
        run
    )
    assert "Traceback" not in text(run)


def test_a_typo_in_the_configuration_is_one_message(tmp_path):
    run = snakemake(tmp_path, "-n", config={"magis": {"a": {"format": "ports", "rae": "x.h5", "raw": "x.h5"}}})
    assert run.returncode != 0
    assert "unknown key 'magis.a.rae'; did you mean 'raw'?" in text(run)
    assert "Traceback" not in text(run)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("magis:\n  a:\n    format: ports\n    raw: x.h5\n    raw: y.h5\n", "key 'raw' is there twice in one mapping, in lines 4 and 5"),
        ("magis: {a: {format: ports, raw: x.h5}}\nnight: !!python/name:os.system\n", "could not determine a constructor for the tag"),
    ],
)
def test_a_configuration_that_snakemake_takes_is_looked_at_again(tmp_path, content, told):
    (tmp_path / "own.yaml").write_text(content)
    run = snakemake(tmp_path, "-n", "--configfile", "own.yaml")
    assert run.returncode != 0
    assert told in text(run)
    assert "Traceback" not in text(run)


def test_folders_may_be_called_anything(tmp_path):
    """Spaces, accents and what a shell would read, through every part of a rule."""
    folder = tmp_path / "Données 2026; $(touch made) `touch made`"
    folder.mkdir()
    raw = 'Läufe des 3. März/it\'s "run" [1]*.h5'
    run = snakemake(folder, "results/magis/a/gradiometer.nc", config={"magis": {"a": {"format": "ports", "raw": raw, "simulate": {"shots": 60}}}})
    assert run.returncode == 0, text(run)
    assert (folder / raw).is_file() and (folder / "results/magis/a/gradiometer.nc").is_file()
    assert (folder / "logs/magis/a/fit_gradiometer.tsv").is_file()
    assert not list(tmp_path.rglob("made"))


def test_a_folder_without_shots_is_refused(tmp_path):
    run = snakemake(tmp_path, "-n", config={"magis": {"a": {"format": "tiff", "raw": "nowhere", "cameras": "c.json"}}})
    assert run.returncode != 0
    assert "nowhere: no such folder, expected one folder or one TIFF file a shot" in text(run)


def test_bad_input_ends_with_its_message_and_no_product(tmp_path):
    (tmp_path / "run.h5").write_text("not HDF5")
    run = snakemake(tmp_path, "results/magis/a/gradiometer.nc", config={"magis": {"a": {"format": "ports", "raw": "run.h5"}}})
    assert run.returncode != 0
    assert "fieldfit: run.h5" in text(run)
    assert "Traceback" not in text(run)
    assert not list((tmp_path / "results").rglob("*.nc"))


def test_a_profile_gives_a_library_workers(tmp_path):
    """Worker processes import the script of their step: it must not run once more in them."""
    config, product = only(TINY, "box"), tmp_path / "results/dune/box/library.nc"
    for arguments in ((), ("--forcerun", "read_library", "--set-threads", "read_library=2")):
        run = snakemake(tmp_path, str(product.relative_to(tmp_path)), *arguments, config=config)
        assert run.returncode == 0, run.stdout + run.stderr
        product.rename(tmp_path / f"{len(arguments)}.nc")
    assert "8 of 8 channels arranged" in (tmp_path / "logs/dune/box/read_library.log").read_text()
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "0.nc"), xr.open_dataset(tmp_path / "4.nc"))
    assert [path.name for path in product.parent.iterdir()] == ["library.nc.sha256"]


def test_workers_of_an_unknown_cluster_are_refused(tmp_path):
    run = snakemake(tmp_path, "results/dune/box/library.nc", "--set-resources", "read_library:dask_cluster=pbs", config=only(TINY, "box"))
    assert run.returncode != 0 and "dask_cluster is 'pbs' and dask_workers 0, expected slurm and a number, or neither" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
