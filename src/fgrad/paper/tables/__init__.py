"""Tables of the paper: numbers as CSV, the same in Markdown for people and in LaTeX for the paper.

A table is a function from summaries to a `fgrad.paper.tables.table.Table`; which there are is said
in `fgrad.paper.contents`.
"""
