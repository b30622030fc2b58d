"""A folder that `fieldfit init` made runs by the command that its README tells, and `fieldfit check` counts the jobs that Snakemake lists."""

import re
import subprocess
import sys
from collections import Counter

from dag import CHECKOUT, TINY, jobs_of, snakemake

from fieldfit.command.init import init
from fieldfit.command.jobs import jobs_of as jobs_told
from fieldfit.command.main import main
from fieldfit.config.load import load_config
from fieldfit.plan import Plan


def test_jobs_are_those_that_snakemake_lists(tmp_path):
    listed = jobs_of(snakemake(tmp_path, "-n", "--config", "night=2026-11-25", config=TINY))
    plan, told = Plan(load_config(TINY | {"night": "2026-11-25"})), Counter()
    for section, entries in TINY.items():
        for name in plan.at_hand() if section == "magis" else entries:
            told.update(jobs_told(plan, section, name))
    by_rule = Counter()
    for rule, count in listed.items():
        known = [name for name in told if rule == name or rule.startswith(f"{name}_")]
        by_rule[max(known, key=len) if known else rule] += count
    assert by_rule == told + Counter({"all": 1, "write_report": 1, "report_night": 1})


def test_a_demo_folder_runs_by_the_command_of_its_readme(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mine"
    init(folder, "ports", demo=True)
    command = re.search(r"^    uv run .*?(snakemake .*)$", (folder / "README.md").read_text(), re.M)[1].split()
    assert str(CHECKOUT / "Snakefile") in command
    run = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "results/report.html").is_file()
    monkeypatch.chdir(folder)
    for words in (["check"], ["show", "results/magis/my_run/gradiometer.nc"], ["explain", "results/magis/my_run/gradiometer.nc", "--chain"]):
        assert main(words) == 0
    told = capsys.readouterr().out
    assert "made by the run, there already" in told
    assert "demo/run.h5: unchanged" in told
