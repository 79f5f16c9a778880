"""The tables, one script a version. A released script never changes: add the next one."""

from __future__ import annotations

# `sequence` counts the acknowledged changes. Numbers are AUTOINCREMENT so that they are never
# used again: the index knows products and images by number, and a number that came back would
# bring a deleted row with it. Rows of `vectors` and `deletions` are what the index replays.
VERSION_1 = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    gallery TEXT NOT NULL,
    fingerprint TEXT,
    dimension INTEGER,
    sequence INTEGER NOT NULL,
    replay_floor INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, lower(hex(randomblob(16))), NULL, NULL, 0, 0);

CREATE TABLE products (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE images (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    product INTEGER NOT NULL REFERENCES products (number) ON DELETE CASCADE,
    content_sha256 TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (product, content_sha256)
) STRICT;

CREATE TABLE thumbnails (
    image INTEGER PRIMARY KEY REFERENCES images (number) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
) STRICT;

-- float16, little-endian, unit length; numbers ascend with those of their images.
CREATE TABLE vectors (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image INTEGER NOT NULL REFERENCES images (number) ON DELETE CASCADE,
    vector BLOB NOT NULL
) STRICT;
CREATE INDEX vectors_by_image ON vectors (image);

CREATE TABLE deletions (
    image INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX deletions_by_sequence ON deletions (sequence);
"""

# `version` is the sequence of a product's last change. `changes` is a history for clients, of
# the newest revisions only; numbers have no gaps, because only the oldest rows are deleted.
VERSION_2 = """
ALTER TABLE products ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
UPDATE products SET version = (SELECT sequence FROM state);

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    product TEXT NOT NULL,
    image TEXT,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_sequence ON changes (sequence);
"""

# Filters follow the products that changed.
VERSION_3 = """
CREATE INDEX products_by_version ON products (version);
"""

# A statement, because a table that takes the place of `vectors` needs it again.
COUNT_DELETED_VECTORS = (
    "CREATE TRIGGER vector_deleted AFTER DELETE ON vectors"
    " BEGIN UPDATE counts SET vectors = vectors - 1; END;"
)

# Counting a million rows takes a tenth of a second, and counts are asked for all the time.
_COUNTS = """
CREATE TABLE counts (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    products INTEGER NOT NULL,
    images INTEGER NOT NULL,
    vectors INTEGER NOT NULL
) STRICT;
INSERT INTO counts SELECT 1, (SELECT count(*) FROM products), (SELECT count(*) FROM images),
    (SELECT count(*) FROM vectors);

CREATE TRIGGER product_added AFTER INSERT ON products
    BEGIN UPDATE counts SET products = products + 1; END;
CREATE TRIGGER product_deleted AFTER DELETE ON products
    BEGIN UPDATE counts SET products = products - 1; END;
CREATE TRIGGER image_added AFTER INSERT ON images
    BEGIN UPDATE counts SET images = images + 1; END;
CREATE TRIGGER image_deleted AFTER DELETE ON images
    BEGIN UPDATE counts SET images = images - 1; END;
CREATE TRIGGER vector_added AFTER INSERT ON vectors
    BEGIN UPDATE counts SET vectors = vectors + 1; END;
"""
VERSION_4 = "\n".join((_COUNTS, COUNT_DELETED_VECTORS))

# An audit trail: who made a change, asked by which request, and what it was before and after
# (JSON). Images are found by product.
VERSION_5 = """
ALTER TABLE changes ADD COLUMN author TEXT;
ALTER TABLE changes ADD COLUMN request TEXT;
ALTER TABLE changes ADD COLUMN before TEXT;
ALTER TABLE changes ADD COLUMN after TEXT;
CREATE INDEX changes_by_product ON changes (product, number);
"""

# What is added is counted a batch at a time: a trigger a row took a third of SQLite's time.
VERSION_6 = """
DROP TRIGGER image_added;
DROP TRIGGER vector_added;
"""

# What led to a backup is still told when it has been restored, but nobody follows it any more.
VERSION_7 = """
ALTER TABLE state ADD COLUMN history_floor INTEGER NOT NULL DEFAULT 0;
"""

# Products that have images: what a photograph can be taken for.
VERSION_8 = """
ALTER TABLE counts ADD COLUMN pictured INTEGER NOT NULL DEFAULT 0;
UPDATE counts SET pictured = (SELECT count(DISTINCT product) FROM images);
CREATE TRIGGER last_image_deleted AFTER DELETE ON images
    WHEN NOT EXISTS (SELECT 1 FROM images WHERE product = old.product)
    BEGIN UPDATE counts SET pictured = pictured - 1; END;
"""

MIGRATIONS = (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4,
    VERSION_5,
    VERSION_6,
    VERSION_7,
    VERSION_8,
)
