"""One patient's sheet: nothing lies on anything else, however much there is to say."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from shared.reporting import drawing
from shared.reporting.content import ActivationSample
from shared.reporting.figures.prediction import prediction_figure
from shared.reporting.prediction import PredictedCurve, PredictionSheet

MONTHS = (12.0, 24.0, 36.0, 60.0, 120.0)
WARNING = (
    "The portal venous phase in the tumour is -80 HU above the liver; usual in training (mean"
    " ± 3 SD): -40 to 60."
)


def sheet(
    warnings: int = 0,
    notices: int = 1,
    median: float | None = None,
    followed: float | None = 120.0,
    intervals: int = 5,
) -> PredictionSheet:
    """Return a sheet whose curves were cut to so many intervals of the grid."""
    generator = np.random.default_rng(0)
    image = generator.normal(size=(16, 16))
    tumour = np.zeros((16, 16), bool)
    tumour[5:11, 5:11] = True
    planes = tuple(
        ActivationSample(image, np.abs(image), tumour, caption)
        for caption in ("axial, portal venous", "coronal", "sagittal")
    )
    curves = tuple(
        PredictedCurve(
            task,
            "medium",
            MONTHS[:intervals],
            tuple(np.linspace(0.9, 0.3, 5)[:intervals]),
            median,
            grid_months=MONTHS[-1],
            followed_months=followed,
        )
        for task in ("rfs", "os")
    )
    return PredictionSheet(
        patient="P" * 60,
        notices=("Smoke test: a healthy liver with a sphere in it. No finding of any kind.",)
        * notices,
        mvi_probability=0.999,
        mvi_threshold=0.52,
        curves=curves,
        planes=planes,
        phases=("arterial", "portal venous", "delayed"),
        activation_note="Evidence of a higher risk of death: 73% of it lies in the tumour and its"
        " margin, which are 67% of the volume that the network sees. A map shows what the model"
        " used, not what is true.",
        warnings=(WARNING,) * warnings,
        footer=("Model 0123456789abcdef, round 12, trained on 192 patients of 5 institutions",) * 2,
    )


def texts(made: PredictionSheet) -> list[tuple[str, Bbox]]:
    """Return every text that is seen, and where it lies in pixels."""
    with drawing.house_style():
        figure = prediction_figure(made)
        figure.set_canvas(FigureCanvasAgg(figure))
        figure.draw_without_rendering()
        off = [axis for axis in figure.axes if not axis.axison]
        unseen = {id(t) for a in off for t in (*a.get_xticklabels(), *a.get_yticklabels())}
        # What is not drawn has the box of one pixel.
        boxes = [
            (text.get_text(), text.get_window_extent())
            for text in figure.findobj(Text)
            if isinstance(text, Text) and text.get_text().strip() and id(text) not in unseen
            if text.get_window_extent().width > 1
        ]
        pictures = [("a picture", a.get_window_extent()) for a in figure.axes if a.images]
    page = figure.bbox
    for text, box in boxes:
        inside = box.x0 >= 0 and box.x1 <= page.x1 and box.y0 >= 0 and box.y1 <= page.y1
        assert inside, f"{text!r} leaves the sheet"
    return boxes + pictures


@pytest.mark.parametrize("warnings", [0, 4, 40])
@pytest.mark.parametrize("notices", [0, 3])
def test_no_text_lies_on_another(warnings: int, notices: int) -> None:
    assert_nothing_overlaps(sheet(warnings, notices))


@pytest.mark.parametrize(("followed", "intervals"), [(93.0, 4), (14.0, 1), (2.0, 0), (None, 5)])
def test_no_text_lies_on_another_where_a_curve_is_cut(
    followed: float | None, intervals: int
) -> None:
    assert_nothing_overlaps(sheet(followed=followed, intervals=intervals))


def assert_nothing_overlaps(made: PredictionSheet) -> None:
    for (one, first), (other, second) in combinations(texts(made), 2):
        overlap = Bbox.intersection(first, second)
        assert overlap is None or overlap.width * overlap.height < 1, f"{one!r} on {other!r}"


def test_warnings_that_do_not_fit_are_not_dropped_in_silence() -> None:
    told = "\n".join(text for text, _ in texts(sheet(warnings=40)))
    assert "more in prediction.json" in told
    assert "more in prediction.json" not in "\n".join(text for text, _ in texts(sheet(warnings=4)))


def test_a_median_is_told_where_it_is_reached() -> None:
    assert "median 41 months" in [text for text, _ in texts(sheet(median=41.2))]
    told = [text for text, _ in texts(sheet())]
    assert "median not reached within\n120 months of follow-up" in told


def test_a_curve_that_is_cut_says_where_and_why() -> None:
    told = [text for text, _ in texts(sheet(followed=93.0, intervals=4))]
    assert "median not reached within\n60 months of follow-up" in told
    assert "follow-up\nnot certain" in told
    assert "follow-up\nnot certain" not in [text for text, _ in texts(sheet())]
    told = [text for text, _ in texts(sheet(followed=2.0, intervals=0))]
    assert told.count("no curve: training patients were\nfollowed for 2 months only") == 2


def test_a_curve_whose_follow_up_is_not_known_says_so() -> None:
    told = [text for text, _ in texts(sheet(followed=None))]
    assert "median not reached in 120 months,\nbut follow-up is not known" in told
    told = [text for text, _ in texts(sheet(followed=None, median=41.2))]
    assert "median 41 months,\nbut follow-up is not known" in told
