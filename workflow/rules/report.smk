"""The page that a person looks at first, made from the NetCDF products alone."""


rule write_report:
    """One self-contained HTML page with pictures and figures of every entry."""
    input:
        asked(plan.reported),
    output:
        report(REPORT, caption="../report/page.rst", category="fieldfit"),
    log:
        "logs/write_report.log",
    benchmark:
        "logs/write_report.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        entry={},
        code=code_hash("fieldfit.steps.write_report"),
    script:
        "../scripts/write_report.py"
