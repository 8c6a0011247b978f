"""From files to a region of interest: read, bring into one world, resample once, cache."""
