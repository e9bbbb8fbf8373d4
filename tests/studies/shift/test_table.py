from clew.report import Report, Row
from clew.studies.shift.table import markdown


def test_a_line_for_each_way_and_a_column_for_each_measure() -> None:
    rows = (
        Row("worst group", 0.25, 0.2, 0.3, "original"),
        Row("worst group", 0.5, 0.4, 0.6, "SHIFT", 43),
        Row("gender accuracy", 0.5, 0.4, 0.6, "SHIFT", 43),
    )
    lines = markdown(Report("", rows, ("Judged by a rule.",))).splitlines()
    assert lines[0] == "|  | worst group | gender accuracy | units held at 0 |"
    assert lines[2:4] == [
        "| original | 25.0 [20.0, 30.0] |  |  |",
        "| SHIFT | 50.0 [40.0, 60.0] | 50.0 [40.0, 60.0] | 43 |",
    ]
    assert lines[-1] == "Judged by a rule."
