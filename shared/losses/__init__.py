"""Losses: what each task is trained on, and how they are put together."""
