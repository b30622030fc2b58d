"""A night of MAGIS: the catalogue of each run's shots, and the page that says how the night went.

These and the phases of a run, short steps one after the other, make one job of a cluster (`group`): it would queue for each of them.
"""

import json

from fieldfit.paths import night_page


def product_of(run):
    """The product that a run ends in."""
    return plan.products("magis", run)[-1]


rule catalogue_shots:
    """Every shot that a run received: number, time, place, size, and what became of it. Closes the run's night."""
    input:
        lambda w: product_of(w.run),
    output:
        "results/magis/{run}/catalogue.nc",
    log:
        "logs/magis/{run}/catalogue_shots.log",
    benchmark:
        "logs/magis/{run}/catalogue_shots.tsv"
    wildcard_constraints:
        run=one_of(plan.magis),
    group:
        "night"
    threads: 1
    resources:
        in_turn=1,
        mem_mb=1000,
        runtime=10,
    params:
        entry=lambda w: params_of("magis", w.run),
        state=lambda w: plan.state(w.run),
        unreadable=lambda w: ({str(path): reason for path, reason in plan.shots.unreadable(w.run).items()} if w.run in plan.imaging else {}),
        digest=lambda w: plan.shots.digest(w.run),
        code=code_hash("fieldfit.steps.catalogue_shots"),
    script:
        "../scripts/catalogue_shots.py"


rule report_night:
    """Page of a night: shots, trends, noise, systematics, comparison with the last nights, alarms."""
    input:
        products=lambda w: [product_of(run) for run in plan.night_named(w.night).runs],
        catalogues=lambda w: [f"results/magis/{run}/catalogue.nc" for run in plan.night_named(w.night).runs],
    output:
        page="results/report/{night}/night.html",
        alarms="results/report/{night}/alarms.json",
    log:
        "logs/report/{night}/report_night.log",
    benchmark:
        "logs/report/{night}/report_night.tsv"
    wildcard_constraints:
        night=one_of([night.name for night in plan.all_nights()] + list(plan.magis)),
    group:
        "night"
    threads: 1
    resources:
        in_turn=1,
        mem_mb=2000,
        runtime=20,
    params:
        entry={},
        limits=plan.config.alarms.model_dump(mode="json"),
        absent=lambda w: list(plan.night_named(w.night).absent),
        digests=lambda w: [plan.shots.digest(run) for run in plan.night_named(w.night).runs],
        code=code_hash("fieldfit.steps.report_night"),
    script:
        "../scripts/report_night.py"


def nightly_asked():
    return "nightly" in workflow.dag_settings.targets and not workflow.output_settings.dryrun


def told_alarms():
    """After a night: where its page is; exit status 3 where it raised an alarm."""
    if not nightly_asked():
        return
    page, alarms = night_page(plan.night().name)
    print(f"The night's page: {page}")
    raised = json.loads(Path(alarms).read_text())["alarms"]
    for alarm in raised:
        print(f"ALARM {alarm['text']}", file=sys.stderr)
    if raised:
        raise SystemExit(3)


def page_of_unfinished_night():
    """After a night that could not be finished: its page all the same, of what is done, with what failed."""
    if not nightly_asked():
        return
    from fieldfit.steps.report_unfinished import report_unfinished

    try:
        print(f"The page of the unfinished night: {report_unfinished(plan, plan.night())}")
    except InputError as error:
        print(f"fieldfit: {error}", file=sys.stderr)
