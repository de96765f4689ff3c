"""What differs between two folders of results, and whether by more than rounding and chance."""
