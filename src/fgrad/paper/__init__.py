"""From files to the figures, tables and claims of the paper."""
