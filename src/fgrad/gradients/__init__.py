"""The mathematics of forward gradients, usable alone."""
