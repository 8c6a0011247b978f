"""The TRIPOD+AI checklist (Collins et al., BMJ 2024;385:e078378), filled from the run.

The 27 items are told in own words. What a run cannot know, such as ethics and funding, is left
to the authors, and said so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.reporting.answer import judged_cohort
from shared.reporting.content import ReportContent
from shared.reporting.counts import counted, mvi_of_known
from shared.reporting.estimates import find, in_words, whole_federation
from shared.reporting.names import COHORT_NAMES, printable

AUTHORS = "For the authors"
Told = Callable[[ReportContent], str]


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes
    ----------
    asks : str
        What the checklist asks for, in own words.
    told : str
        What this run says to it; empty where that is for the authors.
    place : str or None
        The id of the page's section that holds it, or None.
    """

    number: int
    topic: str
    asks: str
    told: str
    place: str | None


_OUTCOMES = (
    "MVI at pathology; recurrence-free and overall survival in months from treatment, on a time"
    " grid common to all institutions."
)
_SPECIFIED = "The folder model/ beside this page: weights, preprocessing, thresholds, hashes."
_USE = (
    "Research only. Predicting needs a tumour mask; patients unlike those of training are warned"
    " of."
)


def _title(content: ReportContent) -> str:
    kind = "synthetic patients" if content.run.synthetic else "patients"
    return f"Outcomes of liver cancer, {kind}, federated."


def _objectives(content: ReportContent) -> str:
    methods = len(whole_federation(content.results))
    return f"Development and {COHORT_NAMES[judged_cohort(content)].lower()}; {methods} methods."


def _data(content: ReportContent) -> str:
    if content.run.synthetic:
        return "Images and outcomes drawn by a computer; no calendar time."
    return "The institutions' own archives; dates are for the authors."


def _sites(content: ReportContent) -> str:
    training = sum(site.role == "training" for site in content.sites)
    outside = sum(site.role == "external" for site in content.sites)
    return f"{training} training institutions, {outside} held out; eligibility: a CT and a mask."


def _prepared(content: ReportContent) -> str:
    scales = {
        "liver": "related to the patient's own liver",
        "window": "scaled from one window of attenuation",
    }
    return (
        "One region around the largest tumour, resampled once and"
        f" {scales[content.run.model.normalisation]}; the settings are in config.yaml, and a site"
        " that prepared otherwise is refused."
    )


def _predictors(content: ReportContent) -> str:
    names = content.run.model.clinical_variables
    beside = f"clinical variables: {_list(names)}" if names else "no clinical variable"
    return f"Up to three CT phases and a mask of liver and tumour; {beside}."


def _fairness(content: ReportContent) -> str:
    names = content.run.model.clinical_variables
    read = f", nor by what the model reads of it ({_list(names)})" if names else ""
    return (
        "Performance is shown at every institution, but by no trait of patients such as age, sex or"
        f" ethnicity{read}: fairness between such groups is not known."
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))


def _size(content: ReportContent) -> str:
    used = counted(site.patients for site in content.sites)
    return f"All usable patients, {used} in number; no calculation beforehand."


def _missing(content: ReportContent) -> str:
    model = content.run.model
    read = ["measurement"] * model.measurements + ["clinical variable"] * bool(
        model.clinical_variables
    )
    stands = (
        f" A {' or '.join(read)} that is unknown takes the value expected from those that are"
        " known, by the federation's means and correlations."
        if read
        else ""
    )
    entries = counted(n for site in content.sites for n in site.set_aside.values())
    told = "some entries, which the institutions do not number"
    return (
        "No outcome is imputed: each task uses the patients who have its label. An absent phase is"
        f" told to the network.{stands} Set aside:"
        f" {told if entries == 'some' else f'{entries} entries'}."
    )


def _analysis(content: ReportContent) -> str:
    best = content.run.best_round
    kept = "" if best is None else f", round {best} kept by internal validation"
    return (
        f"{content.run.rounds} rounds{kept}; patients divided once by a hash; bootstrap within"
        " institutions; thresholds fixed on internal validation (MVI: half of the best F1)."
    )


def _imbalance(content: ReportContent) -> str:
    positive, known = mvi_of_known(content.sites)
    untreated = "no resampling and no class weights."
    if not known:
        return untreated
    silent = any(None in (site.mvi_positive, site.mvi_known) for site in content.sites)
    where = ", at the institutions that tell it" if silent else ""
    return f"{positive / known:.0%} of patients whose status is known have MVI{where}; {untreated}"


def _output(content: ReportContent) -> str:
    threshold = f" (MVI: {content.confusion[0].threshold:.2f})" if content.confusion else ""
    survival = "two survival curves" if content.run.model.curves else "two risks without a curve"
    return f"A probability and {survival}; thresholds are frozen{threshold}."


def _differ(content: ReportContent) -> str:
    differences = [
        abs(summary.difference)
        for row in content.characteristics
        for summary in row.by_site.values()
        if summary.difference is not None
    ]
    if not differences:
        return "Institutions are compared in the table of institutions."
    return f"Standardised differences between institutions up to {max(differences):.2f}."


def _open(content: ReportContent) -> str:
    code = f" Code {content.run.code_version}." if content.run.code_version else ""
    return f"Command, seed and versions are given.{code} Funding and registration: the authors."


def _flow(content: ReportContent) -> str:
    excluded = [0 if not site.set_aside else site.excluded for site in content.sites]
    known = [count for count in excluded if count is not None]
    if len(known) < len(excluded):
        return "Flow of patients; some institutions do not tell how many they set aside."
    return f"Flow of patients; {sum(known)} could not be used."


def _events(content: ReportContent) -> str:
    training = [site for site in content.sites if site.role == "training"]
    patients = counted(site.training for site in training)
    deaths = counted(site.os_events for site in training)
    return f"{patients} patients trained; {deaths} deaths among training and internal validation."


def _performance(content: ReportContent) -> str:
    estimate = find(content.results, content.run.strategy, judged_cohort(content), "os_c_index")
    return (
        f"OS C-index {in_words(estimate)}; discrimination, calibration and net benefit over all, by"
        " institution C-indices, MVI AUC and F1."
    )


# Number, topic, what is asked for, what the run says, the section that says it.
_ITEMS: tuple[tuple[int, str, str, Told | str, str | None], ...] = (
    (1, "Title", "Model, population and outcome named", _title, "top"),
    (
        2,
        "Abstract",
        "A structured summary",
        "The answer, above the first section.",
        "top",
    ),
    (3, "Background", "Clinical context, purpose and known inequalities", "", None),
    (
        4,
        "Objectives",
        "What is developed, and what evaluated",
        _objectives,
        "question",
    ),
    (5, "Data", "Where data come from, and from when", _data, "cohort"),
    (6, "Participants", "Setting, who is eligible, treatment", _sites, "cohort"),
    (
        7,
        "Data preparation",
        "How data were prepared, alike everywhere",
        _prepared,
        "again",
    ),
    (8, "Outcome", "What is predicted, and by when", _OUTCOMES, "question"),
    (9, "Predictors", "What the model is given", _predictors, "cohort"),
    (10, "Sample size", "How it came about", _size, "cohort"),
    (11, "Missing data", "How it was handled", _missing, "set-aside"),
    (12, "Analysis", "Building, heterogeneity, measures", _analysis, "results"),
    (13, "Class imbalance", "Whether and how it was treated", _imbalance, "mvi"),
    (14, "Fairness", "What was done about it", _fairness, "institutions"),
    (15, "Model output", "What comes out, and thresholds", _output, "mvi"),
    (16, "Training against evaluation", "How the data differ", _differ, "differences"),
    (17, "Ethics", "Approval and consent", "", None),
    (18, "Open science", "Funding, protocol, registration, sharing", _open, "again"),
    (19, "Patients and public", "Their part in the study", "", None),
    (20, "Participants, results", "Flow, characteristics", _flow, "cohort"),
    (21, "Development", "Patients and events behind it", _events, "cohort"),
    (22, "Specification", "The full model, to predict with", _SPECIFIED, "again"),
    (23, "Performance", "With intervals, also by group", _performance, "results"),
    (24, "Updating", "Results of any update", "The model was not updated.", "training"),
    (25, "Interpretation", "What the results mean, fairly", "", None),
    (26, "Limitations", "What weakens the study", "Listed, with their effect.", "limits"),
    (27, "Use", "How it would be used, and what is needed", _USE, "limits"),
)


def checklist(content: ReportContent) -> tuple[Item, ...]:
    """Return all 27 items."""
    return tuple(
        Item(
            number,
            topic,
            asks,
            (told if isinstance(told, str) else told(content)) or AUTHORS,
            place,
        )
        for number, topic, asks, told, place in _ITEMS
    )
