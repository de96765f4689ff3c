"""The page: all that was computed as one HTML file, from the figure's mark to the run behind it."""
