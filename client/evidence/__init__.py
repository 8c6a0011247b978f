"""What an institution tells of its patients and of a model: sums, under its own minimum count.

The rule, and what it does not protect against, are in `shared.evidence`.
"""
