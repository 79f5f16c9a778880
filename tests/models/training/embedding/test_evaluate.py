import shutil

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from models.errors import ModelError
from models.training.embedding.evaluate import _grouped, main
from models.training.embedding.pictures import Picture
from models.training.embedding.retrieval import Answer
from models.training.embedding.sheet import CELL, MARGIN, TEXT_HEIGHT, contact_sheet, worst
from tests.models.training.embedding.shops import write_shop

ROW = CELL + TEXT_HEIGHT + 2 * MARGIN
COLUMN = CELL + 2 * MARGIN


def answer(query=0, place=0, right=0, right_score=0.5, wrong=1, wrong_score=0.4):
    return Answer(query, place, 1 / (place + 1), right, right_score, wrong, wrong_score)


def test_the_worst_are_those_whose_wrong_best_leads_by_most():
    right = answer(place=0)
    close = answer(place=1, right_score=0.5, wrong_score=0.52)
    far = answer(place=1, right_score=0.2, wrong_score=0.7)
    assert worst([right, close, far], 5) == [far, close]
    assert worst([right, close, far], 1) == [far]


def test_a_row_shows_the_query_what_came_first_and_the_right_one(tmp_path):
    pictures = []
    for name, colour in (("asked", (200, 0, 0)), ("other", (0, 200, 0)), ("asked", (0, 0, 200))):
        path = tmp_path / f"{len(pictures)}.png"
        Image.new("RGB", (40, 20), colour).save(path)
        pictures.append(Picture(path, name))
    confusion = answer(query=0, place=3, right=2, wrong=1, wrong_score=0.75)
    sheet = contact_sheet([confusion, confusion], pictures, pictures)
    assert sheet.shape == (2 * ROW, 3 * COLUMN, 3)
    middle = MARGIN + CELL // 2
    shown = [sheet[ROW + middle, column * COLUMN + middle].tolist() for column in range(3)]
    assert shown == [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
    # The picture keeps its shape: above it is white, below it text in black, red and green.
    assert sheet[MARGIN + 10, middle].tolist() == [255, 255, 255]
    text = sheet[MARGIN + CELL : ROW]
    inks = [text[:, column * COLUMN : (column + 1) * COLUMN].reshape(-1, 3) for column in range(3)]
    darkest = [ink[ink.sum(axis=1).argmin()] for ink in inks]
    assert darkest[0].max() < 60
    assert darkest[1].argmax() == 0
    assert darkest[2].argmax() == 1


def test_groups_come_with_the_worst_found_first():
    queries = ["b", "a", "c", "a"]
    answers = [answer(query=0), answer(query=1), answer(query=2, place=2), answer(query=3, place=1)]
    groups = _grouped(answers, lambda found: queries[found.query])
    assert list(groups) == ["c", "a", "b"]
    assert groups["a"] == [answers[1], answers[3]]


def evaluated(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def test_the_command_measures_a_pack_and_draws_what_it_confuses(tmp_path, pack_folder):
    pictures = write_shop(tmp_path / "shop", products=6, shots=3)
    table = tmp_path / "shop.csv"
    rows = [
        f"{p.path},{p.product},{'even' if int(p.product[-1]) % 2 == 0 else 'odd'}" for p in pictures
    ]
    table.write_text("\n".join(["path,product,category", *rows]))
    sheet = tmp_path / "confusions.png"
    done = evaluated("--data", table, "--pack", pack_folder, "--sheet", sheet, "--shown", 2)
    assert done.exit_code == 0, done.output
    for words in ("recall@1", "mAP", "category", "even", "odd", "product-05"):
        assert words in done.stdout
    with Image.open(sheet) as drawn:
        width, height = drawn.size
    assert width == 3 * COLUMN
    assert height in (ROW, 2 * ROW)


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        ("confusions", "does not end as a picture does"),
        ("confusions.psd", "does not end as a picture does"),
        ("nowhere/confusions.png", "no folder that can be written to"),
        ("data.png", "is a directory"),
    ],
)
def test_a_sheet_that_cannot_be_written_is_told_before_all_else(tmp_path, sheet, told):
    (tmp_path / "data.png").mkdir()
    done = evaluated("--data", tmp_path / "none", "--sheet", tmp_path / sheet)
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())


def test_references_may_be_others_than_the_queries(tmp_path, pack_folder):
    queries = write_shop(tmp_path / "queries", products=2, shots=2)
    references = tmp_path / "references"
    shutil.copytree(queries[0].path.parent, references / "product-00")
    done = evaluated(
        "--data", tmp_path / "queries", "--references", references, "--pack", pack_folder
    )
    # Nothing else is enrolled: the two photographs of that product find it.
    assert done.exit_code == 0, done.output
    [row] = [line for line in done.stdout.splitlines() if "product-00" in line]
    assert "1.000" in row
    shutil.rmtree(references)
    (references / "tea").mkdir(parents=True)
    shutil.copy(queries[0].path, references / "tea")
    nothing = evaluated(
        "--data", tmp_path / "queries", "--references", references, "--pack", pack_folder
    )
    assert isinstance(nothing.exception, ModelError)
    assert "No photograph has another one" in str(nothing.exception)
