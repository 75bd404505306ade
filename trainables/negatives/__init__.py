"""Which rows of a memory an anchor is held against. The union is the family's table."""

from trainables.negatives.uniform import Uniform

NegativesConfig = Uniform
