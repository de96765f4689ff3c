"""How statements are tested: verdicts, permutation and sign tests, shares, means and intervals."""
