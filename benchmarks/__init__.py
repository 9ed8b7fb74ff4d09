"""Benchmarks of deepkit: interleaved ratios, recorded in a file and shown on one page of the documentation.

    python -m benchmarks                         # all benchmarks: a quarter of an hour on two cores
    python -m benchmarks lenet-keras --pairs 3   # a trial of one benchmark; nothing is written
    python -m benchmarks --missing               # resume after an interruption
    python -m benchmarks --check                 # check docs/benchmarks.md against benchmarks/results.json

Read in this order: `catalog` (benchmarks and targets), `pairs` (method), `nets`, `training`, `custom_steps`,
`decoding`, `building` and `augmentation` (the two sides of each benchmark), `worker` (their processes), `records` and
`page` (results). The tests cover the arithmetic, the page, and the equality of definitions and hand-written nets.
"""
