from pathlib import Path

from fieldfit.config.operation import Alarms
from fieldfit.steps.report_night import report_night
from fieldfit.steps.runner import step

with step(snakemake, "") as job:
    report_night(
        job.wildcards.night,
        [Path(path) for path in job.input.products],
        [Path(path) for path in job.input.catalogues],
        job.output,
        Alarms.model_validate(dict(job.params.limits)),
        absent=list(job.params.absent),
    )
