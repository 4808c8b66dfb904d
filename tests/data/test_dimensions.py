import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rlpd_robot.data.dimensions import Ranges, action_names, observation_names
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec


def test_names_follow_the_command_fields() -> None:
    labelled = Field("joints", (2,), "float64", "rad", (-1, -1), (1, 1), ("wrist", "elbow"))
    plain, scalar = Field("slide", (2,), "float64", "m", (0, 0), (1, 1)), Field("grip", (), "float64", "N", (0,), (1,))
    robot = RobotSpec("arm", 0.1, (Field("x", (), "float64", "m"),), (labelled, plain, scalar))
    assert action_names(ProblemSpec(robot, "t", 2, 5, 1)) == [
        "joints[wrist]", "joints[elbow]", "slide[0]", "slide[1]", "grip",
    ]  # fmt: skip
    assert action_names(ProblemSpec(robot, "t", 2, 2, 1)) == ["action[0]", "action[1]"]
    assert observation_names(ProblemSpec(robot, "t", 2, 5, 1)) == ["observation[0]", "observation[1]"]


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-1e3, 1e3)),
    st.lists(st.integers(0, 30)),
)
def test_ranges_do_not_depend_on_the_cuts(values: np.ndarray, cuts: list[int]) -> None:
    ranges = Ranges(["a", "b"])
    for part in np.split(values, sorted(min(cut, len(values)) for cut in cuts)):
        ranges.add(part)
    for column, r in zip(values.T, ranges, strict=True):
        assert (r.low, r.high) == (column.min(), column.max())
        np.testing.assert_allclose([r.mean, r.std], [column.mean(), column.std()], rtol=1e-9, atol=1e-6)


def test_no_values_no_ranges() -> None:
    assert list(Ranges(["a"])) == []
