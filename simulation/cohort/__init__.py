"""Synthetic federations: signs, outcomes, anatomy, scanners, and the files of the contract."""
