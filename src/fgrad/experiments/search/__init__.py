"""The learning-rate search behind every row of the tables (the paper, sections 4.2 to 4.5)."""
