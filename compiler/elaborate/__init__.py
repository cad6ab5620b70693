"""From syntax trees to typed programs: names, compile-time evaluation, blocks and nets.

`compiler.elaborate.api` is the way in: it opens a file, elaborates its models and nets, and gives
items that compute (trains, columns of data) a graph in which their statements are elaborated.
"""
