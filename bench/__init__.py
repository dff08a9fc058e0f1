"""What the performance claims are measured with: `make bench`, that is `python -m bench`, prints every figure.

`photos` paints, `service` is a provider that costs nothing, `naive` and `careful` are the comparators, `floor` is what
the hardware allows, `bare` and `bare_maker` are servers with nothing of ours, `ours` is the product. `walls`, `memory`,
`crowds`, `edits`, `gateway`, `startup`, `words` and `pictures` measure; `figures` holds medians, spreads and the table
of targets. Ratios of one run on one machine, never bare times.
"""
