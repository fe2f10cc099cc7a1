"""The figures themselves: JAX functions of arrays, for `jit` and `vmap`.

All take labels, scores and how often each study counts, and give NaN where they are 0/0. They check
nothing and compute in the type that they are given; `fracjax.evaluation` checks, and gives float64.
"""
