"""`fieldfit check`: every input is looked at, every fault is told, and nothing is made."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from fieldfit.command.check import check
from fieldfit.command.main import main
from fieldfit.config.magis import Ports
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.steps.simulate_ports import simulate_ports

PORTS = {"format": "ports", "raw": "run.h5"}


def written(folder, config, name="config.yaml"):
    (folder / name).write_text(yaml.safe_dump(config))


def write_ports(path):
    simulate_ports(path, path.with_suffix(".truth.json"), Ports(format="ports", raw=path, simulate={"shots": 40}))


def imaging(folder, shots=(0, 1, 4), shape=(200, 200)):
    """An entry with the frames of six cameras."""
    (folder / "cameras.json").write_text(json.dumps(ring_of_cameras()))
    (folder / "shots").mkdir(exist_ok=True)
    for shot in shots:
        tifffile.imwrite(folder / f"shots/shot{shot:03d}.tif", np.ones((6, *shape), np.uint16), photometric="minisblack")
    return {"format": "tiff", "raw": "shots", "cameras": "cameras.json", "block_size": 2}


def test_sound_inputs_are_told_with_what_they_hold(folder, capsys):
    write_ports(folder / "run.h5")
    written(folder, {"magis": {"night": imaging(folder), "ports": PORTS}, "design": {"toy": {"model": "published_toy"}}})
    assert main(["check"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in (
        "config.yaml: 3 entries",
        "6 views of 6 sensors of 200 x 200 pixels",
        "2 blocks of 2 shots, 3 shots, 2 missing numbers, uint16",
        "40 shots of 3 interferometers",
        "magis.night: describe_setup, 2 calibrate_frames, 2 fit_density, estimate_phase",
        "No fault found. Nothing was run.",
    ):
        assert part in told
    assert sorted(path.name for path in folder.iterdir()) == ["cameras.json", "config.yaml", "run.h5", "run.truth.json", "shots"]


def test_every_fault_is_told(folder, capsys):
    with h5py.File(folder / "run.h5", "w") as file:
        file["count"] = np.ones(3)
    entry = imaging(folder) | {"cameras": "camera.json", "object": {"cad": "drawing.stl"}, "calibrations": {"first": {"dark": "dark"}}}
    library = {"format": "larsoft", "library": "library.root", "channels": "channels.json", "tracks": "tracks.h5"}
    config = {"magis": {"night": entry, "ports": PORTS}, "dune": {"box": library}, "gallery": {"scan": {"model": "tomography", "raw": "run.h5"}}}
    written(folder, config)
    assert main(["check"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    for part in (
        "8 faults:",
        "magis.night: camera.json: no such file",
        "magis.night: drawing.stl: no such file",
        "magis.night: dark: no such folder",
        "magis.ports: run.h5: dataset 'counts' is missing (found: count)",
        "dune.box: channels.json: no such file",
        "dune.box: library.root: no such file",
        "dune.box: tracks.h5: no such file",
        "gallery.scan: run.h5: no dataset 'exchange/data'",
    ):
        assert part in told


def test_shots_that_no_block_could_read_are_a_fault_one_of_them_is_told(folder):
    written(folder, {"magis": {"night": imaging(folder)}})
    tifffile.imwrite(folder / "shots/shot004.tif", np.ones((6, 100, 100), np.uint16), photometric="minisblack")
    told, faults = check(folder / "config.yaml", 400)
    assert faults == 0
    assert "shot 4 would be flagged corrupt" in told
    imaging(folder, shape=(100, 100))
    told, faults = check(folder / "config.yaml", 400)
    assert faults == 1
    assert "shot 0 would be flagged corrupt" in told


def test_what_a_simulation_makes_need_not_be_there(folder):
    entry = imaging(folder) | {"raw": "demo/shots", "cameras": "demo/cameras.json", "simulate": {"shots": 3}, "object": {"cad": "drawing.stl"}}
    written(folder, {"magis": {"night": entry, "ports": PORTS | {"simulate": {}}}})
    told, faults = check(folder / "config.yaml", 400)
    assert told.count("will be made") == 3
    assert faults == 1  # the drawing
    assert "drawing.stl: no such file" in told


def test_a_narrow_terminal_has_no_line_beyond_its_edge(folder):
    written(folder, {"magis": {"night": imaging(folder), "ports": PORTS}})
    for width in (40, 60, 100):
        told, _ = check(folder / "config.yaml", width)
        assert max(map(len, told.splitlines())) <= width


def test_without_a_configuration_of_ones_own_the_demo_is_checked(folder, checkout, capsys):
    assert main(["check"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{checkout / 'config/config.yaml'}: 6 entries (the demo: no config.yaml in this folder)" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("magis: [", "config.yaml: is no YAML: "),
        ("", "config.yaml: holds nothing, expected the sections magis, dune, design, gallery"),
        ("magis: {a: {format: ports, rae: x}}", "config.yaml: unknown key 'magis.a.rae'; did you mean 'raw'?"),
        ("magis: {a: {format: ports, raw: x, rae: 1}, b: {format: port}}", "'magis.b.format' is 'port', expected one of"),
    ],
)
def test_a_configuration_that_is_none_is_one_message_a_fault(folder, capsys, text, told):
    (folder / "config.yaml").write_text(text)
    assert main(["check"]) == 1
    found = capsys.readouterr()
    assert found.err.startswith("fieldfit: config.yaml: ") and told in found.err
    assert not found.out


def test_a_misspelt_file_names_the_nearest(folder, capsys):
    written(folder, {"magis": {"ports": PORTS}}, "mine.yaml")
    assert main(["check", "mien.yaml"]) == 1
    assert "fieldfit: mien.yaml: no such file, expected a configuration in YAML; did you mean 'mine.yaml'?" in capsys.readouterr().err


def test_the_night_that_is_asked_for_must_be_there(folder, capsys):
    write_ports(folder / "run.h5")
    written(folder, {"magis": {"ports": PORTS}, "night": "port"})
    assert main(["check"]) == 1
    assert "night: no run 'port' under magis; did you mean 'ports'?" in " ".join(capsys.readouterr().out.split())
