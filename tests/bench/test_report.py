import re

from bench.report import TITLE, circumstances, others, table, write_section


def test_a_section_is_added_then_replaced_where_it_stands(tmp_path):
    report = tmp_path / "benchmarks.md"
    write_section(report, "speed", "fast")
    write_section(report, "accuracy", "good")
    write_section(report, "speed", "faster")
    assert report.read_text() == (
        f"{TITLE}\n<!-- begin speed -->\nfaster\n<!-- end speed -->\n"
        "\n<!-- begin accuracy -->\ngood\n<!-- end accuracy -->\n"
    )


def test_what_people_wrote_around_a_section_stays(tmp_path):
    report = tmp_path / "benchmarks.md"
    report.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    write_section(report, "a", "new")
    assert report.read_text() == "before\n<!-- begin a -->\nnew\n<!-- end a -->\nafter\n"


def test_a_table_aligns_figures_right():
    assert table(("what", "figure"), [("x", "1")]) == "| what | figure |\n| --- | ---: |\n| x | 1 |"


def test_the_circumstances_tell_what_other_processes_used():
    before = others()
    assert 0 <= before <= 1
    told = re.search(r"Other processes used (\d+)% of the cores meanwhile\.$", circumstances())
    assert told is not None
    assert 0 <= int(told[1]) <= 100
