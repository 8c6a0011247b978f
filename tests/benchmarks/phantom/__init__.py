"""A second synthetic federation of liver-cancer CT, to judge what was tuned on the first.

Its generator was written by somebody who had seen neither the project's measurements, nor its
network, nor its first generator (`simulation.cohort`): what holds on both cohorts was not fitted
to the way in which one of them is drawn. The patients are synthetic.

A patient has three hidden tendencies. They drive nine visible traits of the tumour, each with
noise of its own (`traits`). Traits, tendencies and something that no image shows decide what
happens to the patient (`outcomes`). The traits are painted into a body (`anatomy`, `vessels`,
`tumour`, `region`), which takes up contrast medium (`contrast`) and is scanned (`scanner`).

All lengths are in mm and all attenuations in HU. Arrays are (D, H, W) = (z, y, x); x runs to the
patient's left, y to the back and z to the head (LPS). A seed gives the same voxels, labels and
truth at every time: the order in which random numbers are drawn is part of the generator.
"""
