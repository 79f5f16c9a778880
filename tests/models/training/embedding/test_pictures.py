import numpy as np
import pytest
from PIL import Image

from models.errors import ModelError
from models.training.embedding.pictures import Picture, by_product, read_pictures, split
from tests.models.training.embedding.shops import write_shop


def test_a_folder_per_product(tmp_path):
    written = write_shop(tmp_path, products=3, shots=2)
    (tmp_path / "notes.txt").write_text("not a product")
    (tmp_path / "product-00" / "notes.txt").write_text("not a photograph")
    (tmp_path / "product-00" / "._0.png").write_text("what a Mac leaves")
    assert read_pictures(tmp_path) == written
    assert {name: len(own) for name, own in by_product(written).items()} == {
        "product-00": 2,
        "product-01": 2,
        "product-02": 2,
    }


def test_a_csv_names_paths_from_its_own_folder(tmp_path):
    write_shop(tmp_path / "shop", products=2, shots=1)
    table = tmp_path / "shop.csv"
    table.write_text(
        "path,product,category\nshop/product-00/0.png,tea,drinks\nshop/product-01/0.png,jam,\n"
    )
    assert read_pictures(table) == [
        Picture(tmp_path / "shop/product-00/0.png", "tea", "drinks"),
        Picture(tmp_path / "shop/product-01/0.png", "jam"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "path,product\n1.png,crème\n",
        '"Path";"Product"\n 1.png ; crème \n',
        "product\tpath\ncrème\t1.png",
        "path,product,category\n1.png,crème,\n,,\n",
    ],
)
def test_a_csv_may_come_from_a_spreadsheet(tmp_path, text):
    (tmp_path / "1.png").touch()
    table = tmp_path / "shop.csv"
    table.write_text(text, encoding="utf-8-sig")
    assert read_pictures(table) == [Picture(tmp_path / "1.png", "crème")]


@pytest.mark.parametrize(
    ("row", "lacks"), [("2.png", "product"), ("2.png, ", "product"), (",tea", "path")]
)
def test_rows_that_lack_something_are_told_by_line(tmp_path, row, lacks):
    table = tmp_path / "shop.csv"
    table.write_text(f"path,product\n1.png,tea\n{row}\n")
    with pytest.raises(ModelError, match=f"line 3 has no {lacks}"):
        read_pictures(table)


def test_photographs_that_are_not_there_are_told_at_once(tmp_path):
    table = tmp_path / "shop.csv"
    table.write_text("path,product\n1.png,tea\n2.png,tea\n")
    with pytest.raises(ModelError, match=r"2 are not there: .*1\.png, .*2\.png"):
        read_pictures(table)


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(ModelError, match="names no photographs"):
        read_pictures(tmp_path)
    table = tmp_path / "shop.csv"
    with pytest.raises(ModelError, match="no CSV file"):
        read_pictures(table)
    table.write_text("file,label\na.jpg,tea\n")
    with pytest.raises(ModelError, match="columns path and product"):
        read_pictures(table)
    table.write_text("path,product\n")
    with pytest.raises(ModelError, match="names no photographs"):
        read_pictures(table)


def test_pixels_are_upright_and_keep_their_transparency(tmp_path):
    image = Image.fromarray(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # stored lying on its side
    image.save(tmp_path / "turned.png", exif=exif)
    upright = Picture(tmp_path / "turned.png", "a").load()
    assert np.array_equal(upright, np.rot90(np.asarray(image), -1))
    Image.new("RGBA", (5, 5), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    assert Picture(tmp_path / "clear.png", "a").load()[0, 0].tolist() == [1, 2, 3, 4]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ModelError, match=r"broken\.jpg cannot be read as an image"):
        Picture(tmp_path / "broken.jpg", "a").load()


def test_whole_products_are_kept_out_and_always_the_same(tmp_path):
    pictures = write_shop(tmp_path, products=40, shots=2)
    train, kept_out = split(pictures)
    assert sorted(train + kept_out, key=lambda p: p.path) == pictures
    assert not by_product(train).keys() & by_product(kept_out).keys()
    assert len(by_product(kept_out)) == 8
    assert split(pictures[::-1])[1] == kept_out[::-1]
