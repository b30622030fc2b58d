"""The same equation elsewhere: X-ray scan -> tomogram."""


rule fit_tomogram:
    """Attenuation of every detector row by a field, by filtered back-projection and by SIRT, from all views and from fewer."""
    input:
        lambda w: plan.tomography[w.name].raw,
    output:
        "results/gallery/{name}/tomogram.nc",
    log:
        "logs/gallery/{name}/fit_tomogram.log",
    benchmark:
        "logs/gallery/{name}/fit_tomogram.tsv"
    wildcard_constraints:
        name=one_of(plan.tomography),
    threads: 1
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        entry=lambda w: params_of("gallery", w.name),
        digest=lambda w: stamp(plan.tomography[w.name], plan.tomography[w.name].raw),
        code=code_hash("fieldfit.steps.fit_tomogram"),
    script:
        "../scripts/fit_tomogram.py"
