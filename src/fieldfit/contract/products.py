"""The one table of products, which writers build their files from (`io.products.product`)."""

from fieldfit.contract.design import DESIGN
from fieldfit.contract.dune import DUNE
from fieldfit.contract.gallery import GALLERY
from fieldfit.contract.magis import MAGIS
from fieldfit.contract.variable import Variable

PRODUCTS: dict[str, dict[str, Variable]] = {**MAGIS, **DUNE, **DESIGN, **GALLERY}
