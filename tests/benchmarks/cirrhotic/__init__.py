"""A third synthetic federation of liver-cancer CT: tumours in livers of all degrees of cirrhosis.

The patients are synthetic. The generator was written without sight of the project's network, its
measurements and its other generators, by the signs that the literature names; that livers differ in
cirrhosis was asked for, since nothing in the project had measured it. Its scales were set so that
the true risk reaches a C-index of about 0.80 for death and 0.75 for recurrence, and an AUC of 0.87.

A patient has thirteen visible traits (`traits`), most of them a little worse where a shared
aggressiveness is high. With something that no image shows they decide what happens to the
patient (`outcomes`). These are the weights of one standard deviation of each trait in the log
hazard of death, in that of recurrence, and in the logit of microvascular invasion, before all
are multiplied by 0.86, 0.68 and 0.89:

=================  =====  ==========  ====
trait              death  recurrence  MVI
=================  =====  ==========  ====
log diameter        0.60        0.30  0.50
irregular surface   0.20        0.36  0.75
arterial rim        0.36        0.10  0.60
corona              0.08        0.36  0.75
washout             0.10        0.20  0.20
gaps in capsule     0.16        0.36  0.50
necrosis            0.36        0.00  0.12
mosaic              0.12        0.26  0.25
satellites          0.34        0.52  0.30
cirrhosis           0.70        0.16  0.00
vessel nearness     0.12        0.16  0.22
infiltration        0.24        0.14  0.30
second tumour       0.16        0.12  0.00
=================  =====  ==========  ====

A few products and bends come on top; the size of large tumours counts less for invasion.

A body (`body`, from `anatomy`, `liver` and `vessels`) gets a tumour with its signs and nodules
(`place`, `tumour`, `signs`, `nodules`), takes up contrast medium (`contrast`, `background`), is
scanned (`scanner`) and outlined (`reader`). The more cirrhosis, the rougher the liver's surface
and texture, the smaller its right lobe, the larger its left lobe and the spleen; much of it brings
ascites.

All lengths are in mm and all attenuations in HU. Arrays are (D, H, W) = (z, y, x); x runs to the
patient's left, y to the back and z to the head (LPS); what differs by phase is in the order of
`shared.tasks.PHASES`. A seed gives the same voxels, labels and truth at every time: the order in
which random numbers are drawn is part of the generator.
"""
