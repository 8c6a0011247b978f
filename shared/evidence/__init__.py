"""What a site tells of its patients: sums on common grids, each on enough of them.

**The rule.** A cell is a group of patients whom the coordinator can tell apart: those with a
task's label, a class, a risk group, a call, an interval of score or of follow-up, a category of
a description. A cell of fewer than the site's `minimum_count` patients, 0 excepted, never leaves
the site. Along an axis (score, follow-up, size) such a cell is merged with its neighbours, which
hides where exactly its patients lie; a class or a group is withheld, with the statistic that
needs it. Within a cell of enough patients the number who had the event or the label is told,
however small: it is what is asked. Of a cell of follow-up the middle is told too, the mean of all
its patients rounded to a bin: events alone may be one patient's. When the last of them left is
not told; the latest middle of a task's training patients goes into the model's folder, and so to
whoever predicts. Every answer says what was withheld. What follows from told numbers by adding and
subtracting is told as well: a part of a whole leaves only where the rest are enough patients, and
sums of features rest on groups of enough patients, so that their differences do
(`client.evidence.features`, which says why).

**What this does not protect against.** Cells of enough patients in which all have the outcome.
Two runs over patients or clinical variables that differ by one, two models or two sets of
thresholds asked about the same patients: their sums can be subtracted. A closed interval ends in a
bin that holds somebody, and with its middle says about where the others lie. How many patients
train, and have each label, is told exactly, since an average must be weighed by it; so it can be
seen that few are in no sum of features, or lack a label. A feature of three values: number, sum
and sum of squares tell how many have each. What is told at several times (Brier scores, AUC,
calibration: those of every run) differs by the patients in between. Weights for censoring are the
site's own, and not the coordinator's to choose: with one weight a month their sums would tell
every patient's. None of it is differential privacy, and a coordinator who asks often learns more
than one who asks once: a site has the questions that it answered in its own log.

**The bootstrap.** A coordinator that knew a site's resamples could solve their sums for each
patient. A site draws them from a key of its own, and for each task and cohort apart.
"""
