"""Notebook parameters: what is allowed passes, everything else stops with a message that says what is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.parameters import ParameterError, check, choice, number, numbers, only

INFINITE = [math.inf, -math.inf, math.nan]


@given(st.integers(), st.integers(-5, 5), st.integers(-5, 5))
def test_whole_numbers_pass_exactly_within_their_bounds(value, least, most):
    if least <= value <= most:
        number("n", value, int, least, most)
    else:
        with pytest.raises(ParameterError, match=f"n = {value} is not allowed; it must be a whole number at least"):
            number("n", value, int, least, most)


@given(st.floats() | st.integers())
def test_any_finite_number_passes_as_a_float(value):
    if math.isnan(value) or abs(value) == math.inf:
        with pytest.raises(ParameterError, match="it must be a finite number"):
            number("x", value, float)
    else:
        number("x", value, float)


def test_whole_numbers_too_large_for_a_float_are_still_numbers():
    number("x", 10**400, float)
    number("n", 10**400)
    with pytest.raises(ParameterError, match="at most 7"):
        number("n", 10**400, most=7)


@pytest.mark.parametrize("value", ["3", None, [3], True, False, 3j, *INFINITE, 3.0])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ParameterError, match=r"n = .* is not allowed; it must be a whole number"):
        number("n", value)


@pytest.mark.parametrize("value", ["3", None, [3], True, 3j, *INFINITE])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ParameterError, match=r"x = .* is not allowed; it must be a finite number"):
        number("x", value, float)


def test_message_states_the_bounds():
    with pytest.raises(ParameterError, match=r"^width = 0 is not allowed; it must be a whole number at least 1\.$"):
        number("width", 0, least=1)
    with pytest.raises(ParameterError, match=r"^n = 9999 .* at least 1 and at most 1,000\.$"):
        number("n", 9999, least=1, most=1000)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_lists_pass_number_by_number(values):
    numbers("widths", values, int, least=0, most=9)
    numbers("widths", tuple(values), int, least=0, most=9)
    with pytest.raises(ParameterError, match=rf"widths\[{len(values)}\] = 10 is not allowed"):
        numbers("widths", [*values, 10], int, least=0, most=9)


@pytest.mark.parametrize("values", [[], (), 3, "12", None, {1: 2}])
def test_what_is_no_list_of_numbers_is_refused(values):
    with pytest.raises(ParameterError, match="must be a list of one or more numbers"):
        numbers("widths", values)


def test_choice_lists_what_is_allowed():
    choice("regime", "ReLU", ["ReLU", "DLNPF"])
    with pytest.raises(ParameterError, match=r"regime = 'relu' is not allowed; choose one of: 'ReLU', 'DLNPF'\."):
        choice("regime", "relu", ["ReLU", "DLNPF"])
    with pytest.raises(ParameterError, match="choose one of"):
        choice("regime", ["ReLU"], ["ReLU", "DLNPF"])


def test_only_known_parameters_pass():
    notebook = {"profile": "quick", "seed": 0, "_i1": "code", "__name__": "x", "In": [""], "Out": {}, "math": math}
    only(notebook, "profile", "seed")
    only({}, "profile")


@pytest.mark.parametrize("value", ["a", 1, 1.0, True, [1], (1,), {}, None])
def test_a_misspelt_parameter_is_refused_whatever_its_value(value):
    with pytest.raises(ParameterError, match=r"unknown parameter 'sed'; this notebook has: profile, seed\."):
        only({"profile": "quick", "seed": 0, "sed": value}, "profile", "seed")


def in_jupyter(*cells: str) -> dict:
    """The namespace in which the last of the cells is at work."""
    space: dict = {"In": ["", *cells]}
    for cell in cells[:-1]:
        exec(cell, space)
    return space


PARAMETERS = 'profile = "quick"  # str: which\nseed = 0'
CHECK = 'only(globals(), "profile", "seed")'
WORK = 'from math import pi\nname, numbers = "a", [1, 2]'


def test_variables_of_an_earlier_run_in_the_same_kernel_are_no_parameters():
    for cells in (
        [PARAMETERS, CHECK],
        [PARAMETERS, "pass", WORK, PARAMETERS, CHECK],
        [PARAMETERS, "# Parameters\nseed = 3", "pass", WORK, "left = pi * 2", PARAMETERS, "seed = -3", CHECK],
        [PARAMETERS, WORK, "pass", CHECK],
        [WORK, "", CHECK],
    ):
        only(in_jupyter(*cells), "profile", "seed")


@pytest.mark.parametrize("value", ["1", "-1.5", "None", "[1]", "{'a': (1,)}", "float('nan')"])
@pytest.mark.parametrize("before", [[], [PARAMETERS, "pass", WORK]], ids=["first run", "second run"])
def test_a_misspelt_parameter_is_refused_in_jupyter(before, value):
    injected = f"# Parameters\nprofile = 'smoke'\nsed = {value}\n"
    for cells in ([PARAMETERS, injected], [PARAMETERS + f"\nsed = {value}"]):
        with pytest.raises(ParameterError, match=r"unknown parameter 'sed'; this notebook has: profile, seed\."):
            only(in_jupyter(*before, *cells, CHECK), "profile", "seed")


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_common_parameters_pass(profile):
    check(profile, "")
    check(profile, "build/other", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fast", ""), "profile = 'fast' is not allowed; choose one of: 'smoke', 'quick', 'paper'"),
        ((None, ""), "profile = None is not allowed"),
        ((["quick"], ""), r"profile = \['quick'\] is not allowed"),
        (("quick", None), "build = None is not allowed"),
        (("quick", 3), "build = 3 is not allowed"),
        (("quick", "", -1), "seed = -1 is not allowed; it must be a whole number at least 0"),
        (("quick", "", 1.5), "seed = 1.5 is not allowed"),
        (("quick", "", True), "seed = True is not allowed"),
    ],
)
def test_common_parameters_that_are_not_allowed(arguments, message):
    with pytest.raises(ParameterError, match=message):
        check(*arguments)


def test_the_error_is_a_value_error():
    assert issubclass(ParameterError, ValueError)
