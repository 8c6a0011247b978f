"""Figures, the terminal's table, and one page that a clinician can read."""
