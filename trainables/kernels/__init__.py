"""Sums over the negatives of each anchor, with their gradients: what the objectives that contrast spend their time on.

Rows of a memory carry no gradient, and a loss of negatives is a sum over (anchor, row) pairs. So the gradient with
respect to an anchor is a weighted sum of the very rows whose scores have just been made: it falls out of the forward
pass, block by block of rows, and nothing of size B x R x D is ever stored.
"""
