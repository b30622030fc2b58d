"""The one table of products: each variable's dimensions, units, meaning and flags.

One module a section; `products` joins them, and `docs/products.md` is printed from them by `python -m fieldfit.contract`.
"""
