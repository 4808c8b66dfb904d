import math

import pytest

from rlpd_robot.run.diagnostics.checks import CHECKS, PREFIX, Check, Words, figure_of, judge, measured
from rlpd_robot.run.diagnostics.section import diagnostics_html


def row(steps: int = 10_000, **figures: float) -> dict[str, float]:
    return {"env_steps": steps, **{PREFIX + key: value for key, value in figures.items()}}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.key)
def test_every_check_has_bounds_words_and_something_to_try(check: Check) -> None:
    for bound, words in ((check.low, check.below), (check.high, check.above)):
        assert math.isfinite(bound) == (words is not None)
        if words is not None:
            assert "{value}" in words.sentence
            assert words.sentence.endswith(".")
            assert words.suggestion.endswith(".")
    assert math.isfinite(check.low) or math.isfinite(check.high)


def test_settings_that_are_suggested_exist() -> None:
    import re

    from rlpd_robot.agent.config import AgentConfig

    text = " ".join(w.suggestion for c in CHECKS for w in (c.below, c.above) if w is not None)
    named = set(re.findall(r"agent\.(\w+)", text))
    assert len(named) > 8
    assert named <= set(AgentConfig.__dataclass_fields__)


def test_a_figure_within_its_bounds_says_nothing() -> None:
    assert judge(row(q_outside_range=0.05, entropy_excess=1.0)) == ([], 2)


def test_a_figure_out_of_bounds_says_what_and_what_to_try() -> None:
    (finding,), judged = judge(row(q_outside_range=0.31, utd_share=0.95))
    assert judged == 2
    assert finding.sentence.startswith("31 % of the critics' values lie outside")
    assert finding.text.endswith("or a lower agent.critic_rate.")
    ((high,), _), ((low,), _) = judge(row(entropy_excess=1.3)), judge(row(entropy_excess=-2.5))
    assert "more at random" in high.sentence
    assert "1.30" in high.sentence
    assert "more certain" in low.sentence


def test_it_may_be_too_early() -> None:
    check = next(c for c in CHECKS if c.key == "q_above_return")
    assert math.isnan(figure_of(row(999, q_above_return=1.0), check))
    assert figure_of(row(1000, q_above_return=1.0), check) == 1.0
    assert judge(row(10, q_above_return=1.0)) == ([], 0)
    assert judge({"diagnostics/q_above_return": None, "env_steps": 5000}) == ([], 0)


def test_bounds_for_reading() -> None:
    words = Words("{value}.", "x.")
    assert Check("k", "k", low=0.01, below=words).bounds == "at least 1 %"
    assert Check("k", "k", low=0.005, below=words).bounds == "at least 0.5 %"
    assert Check("k", "k", high=0.2, above=words).bounds == "at most 20 %"
    assert Check("k", "k", "number", low=-2.0, high=1.0, below=words, above=words).bounds == "-2.00 to 1.00"


def test_the_report_says_what_was_wrong_and_how_often() -> None:
    rows = [
        row(q_outside_range=0.5, utd_share=1.0),
        {"env_steps": 3},
        row(q_outside_range=0.2, utd_share=0.5),
        row(utd_share=1.0, q_outside_range=0.06),
    ]
    text = diagnostics_html(rows)
    assert len(measured(rows)) == 3
    assert "At the end 1 of 2 checks were out of bounds" in text
    assert "<b>6 % of the critics&#x27; values lie outside" in text
    assert "3 of 3 measurements" in text
    assert "1 of 3 measurements" in text
    assert "all 2 checks were well" in diagnostics_html([row(q_outside_range=0.0, utd_share=1.0)])
    assert diagnostics_html([{"env_steps": 3}]) == ""
