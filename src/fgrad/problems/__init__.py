"""What gradients are tried on: test functions, networks, data sets."""
