"""The figures' common look: contrast, colours apart for every eye, type that a phone can show, provenance."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from test_statistics import make_record

from companion import figures
from companion.figures import style
from npflib import regimes

PROJECT = Path(__file__).resolve().parents[3]
MEANINGFUL = {
    **{f"regime {name}": colour for name, colour in style.COLOURS.items()},
    **{name: getattr(style, name) for name in ("INK", "PAPER", "MUTED", "ACTIVE", "INACTIVE", "VALUE", "GATE")},
    **{f"shade {k} of {n}": colour for n in range(1, 9) for k, colour in enumerate(style.shades(n))},
}
TEXT = ("INK", "PAPER", "MUTED", "ACTIVE", "VALUE", "GATE")
# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as each dichromat sees it.
EYES = {
    "all three cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.fixture(autouse=True)
def _own_settings():
    with plt.rc_context():
        style.use_style()
        yield
    plt.close("all")


def dimming() -> float:
    """By how much the pages' style sheet darkens figures in dark mode."""
    sheet = (PROJECT / "book" / "_static" / "companion.css").read_text()
    [factor] = re.findall(r"filter: brightness\(([\d.]+)\)", sheet)
    return float(factor)


def linear(colour) -> np.ndarray:
    part = np.array(to_rgb(colour))
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(colour, ground) -> float:
    """WCAG 2's ratio of relative luminances."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (colour, ground))
    return (high + 0.05) / (low + 0.05)


def difference(one, other, eye) -> float:
    """Distance in OKLab (Ottosson, 2020) times 100, of the two colours as an eye sees them."""

    def lab(colour):
        seen = np.clip(np.asarray(eye) @ linear(colour), 0, 1)
        cones = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]) @ seen
        mix = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
        return np.array(mix) @ np.cbrt(np.clip(cones, 0, None))

    return 100 * float(np.linalg.norm(lab(one) - lab(other)))


def test_the_measure_of_contrast_is_wcags():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)  # the well-known limit of grey text


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_carries_meaning_stands_out_from_its_ground(mode):
    factor = 1.0 if mode == "light" else dimming()
    shown = {name: tuple(factor * np.array(to_rgb(colour))) for name, colour in MEANINGFUL.items()}
    ground = (factor,) * 3
    weak = {name: round(contrast(c, ground), 2) for name, c in shown.items() if contrast(c, ground) < 3}
    assert weak == {}
    pale = {name: round(contrast(shown[name], ground), 2) for name in TEXT if contrast(shown[name], ground) < 4.5}
    assert pale == {}


def test_yellow_would_not_stand_out():
    """Okabe and Ito's orange and pink, which are common choices, fail here: the test can."""
    assert contrast("#E69F00", "white") < 3
    assert contrast("#CC79A7", "white") < 3.1


@pytest.mark.parametrize("eye", EYES)
def test_the_regimes_stay_apart_for_every_eye(eye):
    close = {
        (a, b): round(difference(style.COLOURS[a], style.COLOURS[b], EYES[eye]), 1)
        for a, b in itertools.combinations(list(regimes.REGIMES), 2)
        if difference(style.COLOURS[a], style.COLOURS[b], EYES[eye]) < 9
    }
    assert close == {}


def test_the_measure_of_difference_knows_confusable_colours():
    red, green = "#b03a3a", "#6b6b1e"
    assert difference(red, green, EYES["deuteranopia"]) < 0.5 * difference(red, green, EYES["all three cones"])


def test_each_regime_has_its_own_marker_colour_and_name():
    for looks in (style.COLOURS, style.MARKERS, style.LABELS):
        assert len({looks[name] for name in regimes.REGIMES}) == len(regimes.REGIMES)


@pytest.mark.parametrize("looks", [style.COLOURS, style.MARKERS])
def test_a_regime_without_a_look_gets_a_spare_one_and_keeps_it(looks):
    mine = looks.copy()
    given = [mine[name] for name in "bcde"]
    assert given == [mine[name] for name in "bcde"]
    assert len(set(given)) == 3  # more than there are: again from the first
    assert given[3] == given[0]
    assert not set(given) & set(looks.values())


def test_normal_type_has_nearly_ten_pixels_on_a_phone_and_the_least_more_than_seven():
    figure = plt.figure()
    assert figure.get_figwidth() == style.WIDTH
    assert style.pixels_on_a_phone(figure, style.NORMAL) >= 9.8
    assert style.pixels_on_a_phone(figure, style.TINY) >= style.LEAST == 7.6
    assert style.pixels_on_a_phone(figure, 72) == pytest.approx(style.PHONE / style.WIDTH)


def test_small_text_is_refused():
    figure, ax = plt.subplots()
    ax.text(0.5, 0.5, "tiny", fontsize=8)
    with pytest.raises(ValueError, match=r"the text 'tiny' has 8 points, which is 7\.5 px on a phone"):
        figures.finish(figure, profile="quick")


def test_a_wide_figure_is_refused():
    figure, _ = plt.subplots(figsize=(7.2, 3))
    with pytest.raises(ValueError, match=r"7\.2 inches wide; allowed is figures\.style\.WIDTH, 5\.6"):
        figures.finish(figure, profile="quick")


def test_what_leaves_the_frame_is_warned_of():
    figure, ax = plt.subplots()
    ax.set_title("a title that is far longer than the figure is wide " * 3)
    with pytest.warns(UserWarning, match="px beyond its frame and is cut off"):
        figures.finish(figure, profile="quick")


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_key_fits_the_figure_and_holds_every_entry(count):
    figure, ax = plt.subplots()
    lines = [ax.plot([k], [k], label=f"an entry with a name, no. {k}")[0] for k in range(count)]
    [legend] = figures.key(figure, lines).legends
    figure.draw_without_rendering()
    assert [text.get_text() for text in legend.get_texts()] == [line.get_label() for line in lines]
    assert legend.get_window_extent().width <= figure.bbox.width


def line_of(**given) -> str:
    figure, _ = plt.subplots()
    return figures.finish(figure, **given).get_label()


def test_provenance_names_profile_seeds_data_code_machine_and_time():
    line = line_of(profile="quick", seeds=3, data={"title": "MNIST", "stand_in": False}, code="05_x", note="3 epochs")
    start = "profile: quick · n = 3 · data: MNIST · 3 epochs · 05_x · "
    assert line.startswith(start)
    assert re.fullmatch(r".+, \d+ (s|min) into the notebook", line.removeprefix(start))


def test_of_trained_runs_the_line_names_their_machines_and_the_sum_of_their_times():
    def run(seed, device, seconds):
        return replace(make_record(seed), seconds=seconds, environment={"device": device})

    runs = {"ReLU": [run(0, "AMD EPYC", 20.0), run(1, "AMD EPYC", 30.0)], "FLNPF": [run(0, "NVIDIA H100", 11.0)]}
    line = line_of(profile="paper", seeds=2, runs=[runs])
    assert line.endswith("trained on AMD EPYC (CPU) and NVIDIA H100 (GPU) in 61 s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99.4, "99 s"), (100, "2 min"), (5900, "98 min"), (7200, "2.0 h")]
)
def test_times_have_a_unit_that_suits(seconds, text):
    run = replace(make_record(0), seconds=float(seconds), environment={"device": "AMD EPYC"})
    assert line_of(profile="quick", runs=[run]).endswith(f"in {text}")


def test_a_drawing_says_that_it_is_one():
    assert line_of(code="05_x") == "a drawing · 05_x"


@pytest.mark.parametrize(("stand_in", "said"), [(True, "STAND-IN DATA. Not a test of the paper."), (False, "")])
def test_stand_in_data_are_said_in_the_figure(stand_in, said):
    figure, _ = plt.subplots()
    figures.finish(figure, profile="smoke", data={"title": "stand-in for MNIST", "stand_in": stand_in})
    assert figure.get_supxlabel() == said


def test_text_from_files_is_text_in_a_figure(tmp_path):
    """No element of the SVG, of which it is the title."""
    given = {"title": "MNIST<script>alert(1)</script> at $5 and $6_", "stand_in": False}
    figure, _ = plt.subplots()
    run = replace(make_record(0), environment={"device": "<script>$x^2$"})
    said = figures.finish(figure, profile="quick", data=given, runs=[run]).get_label()
    assert "at $5 and $6_" in said
    figure.savefig(tmp_path / "figure.svg", metadata={"Title": said})
    assert "<script" not in (tmp_path / "figure.svg").read_text()
