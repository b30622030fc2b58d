"""`fieldfit init`: a folder that passes `check` once its files are there, and nothing overwritten."""

import pytest
import yaml

from fieldfit.command.check import check
from fieldfit.command.init import EXPERIMENTS, init, templates
from fieldfit.command.main import main
from fieldfit.config.load import load_config
from fieldfit.plan import Plan


@pytest.mark.parametrize("experiment", list(EXPERIMENTS))
def test_a_template_is_a_valid_configuration_that_lacks_its_files_only(folder, monkeypatch, experiment, capsys):
    assert main(["init", "mine", "--experiment", experiment]) == 0
    assert "cd mine" in capsys.readouterr().out
    monkeypatch.chdir(folder / "mine")
    config = yaml.safe_load((folder / "mine/config.yaml").read_text())
    load_config(config)
    assert "{" not in (folder / "mine/README.md").read_text()
    told, faults = check(folder / "mine/config.yaml", 100)
    assert faults >= 1
    assert all("no such" in line or "expected" in line for line in told.split("fault")[-1].splitlines()[1:] if line.startswith("  data"))


@pytest.mark.parametrize("experiment", list(EXPERIMENTS))
def test_a_demo_is_sound_as_it_is_and_makes_the_product_that_its_readme_shows(folder, monkeypatch, experiment):
    init(folder / "mine", experiment, demo=True)
    monkeypatch.chdir(folder / "mine")
    told, faults = check(folder / "mine/config.yaml", 100)
    assert faults == 0, told
    plan = Plan(load_config(yaml.safe_load((folder / "mine/config.yaml").read_text())))
    assert f"results/{EXPERIMENTS[experiment][1]}" in plan.everything()


def test_every_template_is_text_without_places_left_open(folder):
    for experiment in EXPERIMENTS:
        for demo in (False, True):
            for text in templates(folder, experiment, demo).values():
                assert "{defaults}" not in text and "{name}" not in text and text.endswith("\n")


def test_a_folder_with_something_in_it_is_left_alone(folder, capsys):
    (folder / "mine").mkdir()
    assert main(["init", "mine"]) == 0  # empty
    (folder / "mine/README.md").write_text("my own")
    assert main(["init", "mine"]) == 1
    assert "fieldfit: mine: holds README.md, expected an empty folder" in capsys.readouterr().err
    assert (folder / "mine/README.md").read_text() == "my own"
    (folder / "file").write_text("x")
    assert main(["init", "file"]) == 1
    assert main(["init", "file/below"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_experiment_is_told(folder, capsys):
    assert main(["init", "mine", "--experiment", "port"]) == 1
    assert "invalid choice: 'port'" in capsys.readouterr().err
    assert not (folder / "mine").exists()
