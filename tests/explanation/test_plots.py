import io
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from lo2dask.explanation.plots import ShapRow, _Page, beeswarm, shap_bar, shap_summary, wrap_label

NASTY = [
    "ERR12029",
    "␣␣ab",
    "costs $5 and $6, _low_ ^high",
    "<script>alert(1)</script>",
    r"esc\x1b[31m",
    "漢字 and ü",
    "x" * 300,
    "Handler BasicAuthHandler in <*> raised com.networknt.exception.ApiException " * 8,
]


def shap_rows(labels: list[str] = NASTY, count: int = 200) -> list[ShapRow]:
    rng = np.random.default_rng(5)
    rows = []
    for place, label in enumerate(labels):
        values = (rng.random(count) < 0.4) * (rng.gamma(2.0, 1.0, count) if place % 2 else 1.0)
        phi = (values - values.mean()) / (place + 1)
        rows.append(ShapRow(label, float(np.abs(phi).mean()), (-1.0) ** place * 0.1, phi, values))
    return rows


@pytest.mark.parametrize("draw", [shap_bar, shap_summary])
def test_plots_are_images_with_content_and_the_same_bytes_again(draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = draw("event_lr_words", shap_rows(), "contribution")
    assert first == draw("event_lr_words", shap_rows(), "contribution")
    image = imread(io.BytesIO(first))
    assert image.shape[0] > 400
    assert image.shape[1] > 900
    assert len(np.unique(image[::7, ::7].reshape(-1, image.shape[2]), axis=0)) > 20
    borders = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert np.ptp(borders, axis=0).max() == 0, "something is cut at the border"


@pytest.mark.parametrize("draw", [shap_bar, shap_summary])
def test_a_plot_without_features_says_so(draw):
    assert draw("m", [], "contribution").startswith(b"\x89PNG")


def test_nothing_global_is_touched():
    before = dict(matplotlib.rcParams)
    shap_bar("m", shap_rows(NASTY[:2]), "contribution")
    assert dict(matplotlib.rcParams) == before


def test_every_label_lies_within_the_page_and_none_covers_another():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    page = _Page("event_lr_words", "title", shap_rows(), "mean")
    renderer = FigureCanvasAgg(page.figure).get_renderer()
    page.figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in page.axes.texts]
    assert len(boxes) == len(NASTY)
    plot_left = page.axes.get_window_extent(renderer).x0
    for box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= plot_left
        assert box.y0 >= 0
        assert box.y1 <= page.figure.bbox.height
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert upper.y0 >= lower.y1


def test_labels_keep_every_sign():
    for label in NASTY:
        shown = wrap_label(label)
        if label.startswith("漢"):
            assert shown == "\\u6f22\\u5b57 and ü"
        else:
            assert shown.replace("\n", "").replace(" ", "") == label.replace(" ", "")
        assert max(map(len, shown.split("\n"))) <= 56
    assert wrap_label("") == " "


def test_swarm_spreads_crowded_places_and_stays_in_its_lane():
    offsets = beeswarm(np.concatenate([np.zeros(50), np.ones(1)]), 1.0)
    assert len(np.unique(offsets[:50])) == 50
    assert offsets[50] == 0
    assert np.abs(offsets).max() <= 1
    assert beeswarm(np.zeros(0), 1.0).shape == (0,)
    assert not beeswarm(np.zeros(3), 0.0).any()
