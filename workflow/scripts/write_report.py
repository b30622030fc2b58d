from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.write_report import write_report

with step(snakemake, "") as job:
    write_report([Path(path) for path in job.input], job.output)
