"""Detector design: a material field a seed through random showers, then every candidate on the same held-out showers; the published toy."""


rule optimise_material:
    """One seed of a study: the material field that the likelihood-ratio gradient leads to."""
    input:
        lambda w: plan.showers[w.study].study if isinstance(plan.showers[w.study].study, Path) else [],
    output:
        "results/design/{study}/material/{seed}.nc",
    log:
        "logs/design/{study}/optimise_material/{seed}.log",
    benchmark:
        "logs/design/{study}/optimise_material/{seed}.tsv"
    wildcard_constraints:
        study=one_of(plan.showers),
        seed=r"\d+",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        entry=lambda w: params_of("design", w.study),
        digest=lambda w: stamp(plan.showers[w.study], plan.showers[w.study].study),
        code=code_hash("fieldfit.steps.optimise_material"),
    script:
        "../scripts/optimise_material.py"


rule evaluate_design:
    """The field, its binarised form, the best ring and the filled region on held-out seeds with common random numbers."""
    input:
        lambda w: [f"results/design/{w.study}/material/{seed}.nc" for seed in plan.showers[w.study].seeds],
    output:
        "results/design/{study}/design.nc",
    log:
        "logs/design/{study}/evaluate_design.log",
    benchmark:
        "logs/design/{study}/evaluate_design.tsv"
    wildcard_constraints:
        study=one_of(plan.showers),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        entry=lambda w: params_of("design", w.study),
        code=code_hash("fieldfit.steps.evaluate_design"),
    script:
        "../scripts/evaluate_design.py"


rule estimate_toy:
    """Four gradient estimators of the published toy, with mean and spread, and a scan of its loss."""
    output:
        "results/design/{study}/toy.nc",
    log:
        "logs/design/{study}/estimate_toy.log",
    benchmark:
        "logs/design/{study}/estimate_toy.tsv"
    wildcard_constraints:
        study=one_of(plan.toys),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        entry=lambda w: params_of("design", w.study),
        code=code_hash("fieldfit.steps.estimate_toy"),
    script:
        "../scripts/estimate_toy.py"
