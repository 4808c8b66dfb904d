from rlpd_robot.run.bench.latency import table

FIGURES = {"p50": 1.0, "p99": 2.0, "p999": 3.0}
STAGES = ("policy_ms", "filter_ms", "send_ms", "response_ms", "command_age_ms")


def report(missed):
    loop = {f"{stage}_{q}": value for stage in STAGES for q, value in FIGURES.items()}
    runs = {"50": FIGURES, "100": FIGURES}
    return {
        **{f"{name}_us": FIGURES for name in ("echo", "forward", "server", "swap")},
        "ratio": {"p50": 1.25, "p99": 1.5, "p999": 1.75},
        "lateness_ms": {**FIGURES, "alone": runs, "loaded": runs},
        "loops": {"alone": {"100": {**loop, "fault": ""}}, "loaded": {"100": {**loop, "fault": "overrun: 600 ms"}}},
        "cores": 2,
        "missed": missed,
    }


def test_the_table_tells_every_figure_and_every_fault():
    text = table(report(["ratio_p50"]))
    assert "server / (echo + forward)       1.25      1.50      1.75" in text
    assert "50 Hz, loaded                   1.00      2.00      3.00" in text
    assert "command_age, alone" in text
    assert "100 Hz, loaded: overrun: 600 ms" in text
    assert text.splitlines()[-1] == "cores=2 missed aims: ratio_p50"
    assert table(report([])).endswith("missed aims: none")
