"""`fieldfit`: verbs, their help, and what is told of a mistake in a command."""

import subprocess
import sys

import pytest

from fieldfit.command.main import VERBS, main

NAMES = [verb.__name__.rpartition(".")[2] for verb in VERBS]


@pytest.mark.parametrize("verb", NAMES)
def test_each_verb_has_one_line_and_examples(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"examples:\n  fieldfit {verb}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert any(line.strip().startswith(verb) for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["explian", "x.nc"], "no verb 'explian'; did you mean 'explain'?"),
        (["show", "x.nc", "--tabel"], "unknown argument '--tabel'; did you mean '--table'?"),
        (["show", "x.nc", "--csv", "--table"], "not allowed with argument"),
        (["explain"], "required: product"),
        ([], "required: VERB"),
        (["completion", "fish"], "invalid choice: 'fish'"),
    ],
)
def test_a_mistake_is_one_message(words, told, capsys):
    assert main(words) == 1
    found = capsys.readouterr()
    assert found.err.startswith("fieldfit: ") and told in found.err and found.err.count("\n") == 1
    assert not found.out


def test_help_and_completion_wait_for_no_large_library():
    """Whatever takes long to import is imported when a verb runs."""
    code = "import sys, fieldfit.command.main as m; m.parser().format_help(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "fieldfit.command.explain" in found
    assert not {"numpy", "xarray", "torch", "matplotlib", "pydantic", "h5py"} & set(found)


def test_a_reader_that_has_seen_enough_is_no_error(made):
    command = f"{sys.executable} -m fieldfit.command show {made} --csv | head -n 1"
    found = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
