"""Multi-tangent forward gradients: the library behind the reproduction of the paper."""
