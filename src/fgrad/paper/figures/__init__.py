"""One module for each figure, with a function ``draw(summaries) → Figure``; one style for all."""
