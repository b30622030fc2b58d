"""fieldfit: one DAG from raw files to NetCDF results.

Targets: `all` (default), `nightly` (a night of MAGIS and its page), `paper` (run-level products and the report), or any product by its path.
"""

import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from fieldfit.config.load import load_config
from fieldfit.documents import read_document
from fieldfit.io.whole import check_writable
from fieldfit.plan import REPORT, Plan
from fieldfit.provenance import code_hash
from fieldfit.shots import stamp
from fieldfit.types import InputError

# Threads of one job wait asleep and not in a loop: where jobs share cores the loop has made a fit up to 35 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Snakemake merges configurations deeply, so the demo is loaded only when the user gives no entries of their own.
if not {"magis", "dune", "design", "gallery"} & set(config):
    config.update(yaml.safe_load((Path(workflow.basedir) / "config/config.yaml").read_text()))

try:
    # Snakemake has read these already, and took the last of two keys of one name.
    for file in workflow.overwrite_configfiles:
        read_document(Path(file), "a configuration")
    plan = Plan(load_config(config))
    plan.shots.check_calibrations()
    if not workflow.output_settings.dryrun:
        check_writable(Path("results"))
    # Targets are not known to the workflow before its rules are: a product is looked for among the words of the command.
    plan.check_targets(word for word in sys.argv[1:] if word.endswith(".nc"))
except InputError as error:
    raise WorkflowError(str(error))


def one_of(names):
    """Regular expression of a wildcard that takes these names and no others."""
    return "|".join(names) or "(?!)"


def asked(paths):
    """Input of a target: what `paths()` finds when the target is asked for, and only then, since a folder of shots is looked through for it."""

    def found(wildcards):
        try:
            return paths()
        except InputError as error:
            raise WorkflowError(str(error))

    return found


def params_of(section, name, calibrations=(), export=False):
    """The entry as plain values: editing it reruns the steps of this entry. Of its calibrations only these: another one leaves the step as it is.
    What other tools want to be given changes no fit, so that `export` is in the params of its own step only.
    """
    entry = plan.entry(section, name).model_dump(mode="json")
    if not export:
        entry.pop("export", None)
    if "calibrations" in entry:
        entry["calibrations"] = {name: entry["calibrations"][name] for name in calibrations}
    return entry


report: "workflow/report/workflow.rst"


include: "workflow/rules/slurm.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/magis.smk"
include: "workflow/rules/dune.smk"
include: "workflow/rules/design.smk"
include: "workflow/rules/gallery.smk"
include: "workflow/rules/night.smk"
include: "workflow/rules/report.smk"


rule all:
    """Every product of the configuration, and the report; of nights those that are not closed."""
    default_target: True
    input:
        asked(plan.everything),


rule nightly:
    """A night of the runs whose `raw` holds {night}, and its page: `--config night=YYYY-MM-DD` or the name of a run, the latest by default."""
    input:
        asked(lambda: plan.of_night(plan.night())),


rule paper:
    """The run-level products that a paper quotes, and the report with their figures."""
    input:
        asked(plan.paper),
        REPORT,


onsuccess:
    if os.path.exists(REPORT):
        print(f"The pictures and figures: {REPORT}")
    told_alarms()


onerror:
    page_of_unfinished_night()
