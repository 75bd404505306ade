"""Which trials may exist: the space grammar, sweep files, and the shipped ones (``*.yaml``)."""
