"""The benchmarks that keep deepkit honest: ratios side by side, recorded, on one page of the documentation.

    python -m benchmarks                      # all of them: a quarter of an hour on two cores
    python -m benchmarks lenet-keras --pairs 3   # a trial of one; nothing is written
    python -m benchmarks --missing            # go on after an interruption
    python -m benchmarks --check              # is docs/benchmarks.md what benchmarks/results.json gives?

Read in this order: `catalogue` (what is measured, and the targets), `pairs` (how), `nets`, `training`, `building` and
`augmentation` (the two sides of each), `worker` (their processes), `records` and `page` (what is kept).
Nothing here is part of the tests, but for the arithmetic, the page, and that hand-written nets are the same nets.
"""
