"""The configuration: what a user may write, what each key means, and what it is when left out.

One module a section; `load` has the whole. The default YAML and the JSON schema are printed from these models by `fieldfit.schema`.
"""
