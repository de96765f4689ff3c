"""Results that travel: all finished runs in one archive, and out of it again."""
