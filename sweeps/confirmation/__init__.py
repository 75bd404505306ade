"""Which points of a front can be trusted: their trials again, with fresh seeds, and what these say."""
