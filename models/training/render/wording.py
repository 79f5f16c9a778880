"""The words on the packages: invented brands, product names and flavours in six languages.

Brands are made of syllables, so that none is meant to be a real one.
"""

from dataclasses import dataclass

import numpy as np

LANGUAGES = ("en", "de", "fr", "es", "it", "pl")

_HEADS = [
    "bra",
    "cor",
    "del",
    "fa",
    "gri",
    "hu",
    "jo",
    "ka",
    "lu",
    "mar",
    "ne",
    "ol",
    "pri",
    "quo",
    "ro",
    "sa",
    "ti",
    "vel",
    "wen",
    "zo",
]
_MIDDLES = ["ba", "dri", "le", "lo", "mi", "na", "ra", "ri", "ta", "va", "vo", "zi"]
_TAILS = [
    "dan",
    "fin",
    "ka",
    "lor",
    "ma",
    "nix",
    "po",
    "ra",
    "ro",
    "sta",
    "tto",
    "va",
    "vik",
    "wyn",
]

# Flavour: the motif that pictures it, its colour, and its name in each language.
FLAVOURS: dict[str, tuple[str, tuple[int, int, int], tuple[str, ...]]] = {
    "orange": (
        "citrus",
        (245, 140, 20),
        ("Orange", "Orange", "Orange", "Naranja", "Arancia", "Pomarańcza"),
    ),
    "lemon": (
        "citrus",
        (248, 214, 40),
        ("Lemon", "Zitrone", "Citron", "Limón", "Limone", "Cytryna"),
    ),
    "lime": (
        "citrus",
        (140, 195, 60),
        ("Lime", "Limette", "Citron vert", "Lima", "Lime", "Limonka"),
    ),
    "strawberry": (
        "strawberry",
        (220, 40, 50),
        ("Strawberry", "Erdbeere", "Fraise", "Fresa", "Fragola", "Truskawka"),
    ),
    "cherry": (
        "cherry",
        (170, 16, 40),
        ("Cherry", "Kirsche", "Cerise", "Cereza", "Ciliegia", "Wiśnia"),
    ),
    "blueberry": (
        "berries",
        (70, 80, 160),
        ("Blueberry", "Heidelbeere", "Myrtille", "Arándano", "Mirtillo", "Borówka"),
    ),
    "raspberry": (
        "berries",
        (215, 50, 100),
        ("Raspberry", "Himbeere", "Framboise", "Frambuesa", "Lampone", "Malina"),
    ),
    "apple": ("apple", (120, 175, 50), ("Apple", "Apfel", "Pomme", "Manzana", "Mela", "Jabłko")),
    "peach": (
        "apple",
        (246, 160, 100),
        ("Peach", "Pfirsich", "Pêche", "Melocotón", "Pesca", "Brzoskwinia"),
    ),
    "tomato": (
        "apple",
        (210, 50, 30),
        ("Tomato", "Tomate", "Tomate", "Tomate", "Pomodoro", "Pomidor"),
    ),
    "mint": ("leaves", (60, 165, 120), ("Mint", "Minze", "Menthe", "Menta", "Menta", "Mięta")),
    "herbs": ("leaves", (90, 140, 60), ("Herbs", "Kräuter", "Herbes", "Hierbas", "Erbe", "Zioła")),
    "oat": ("wheat", (205, 165, 95), ("Oat", "Hafer", "Avoine", "Avena", "Avena", "Owies")),
    "honey": ("drop", (232, 165, 30), ("Honey", "Honig", "Miel", "Miel", "Miele", "Miód")),
    "cocoa": ("beans", (100, 58, 36), ("Cocoa", "Kakao", "Cacao", "Cacao", "Cacao", "Kakao")),
    "coffee": ("beans", (70, 42, 28), ("Coffee", "Kaffee", "Café", "Café", "Caffè", "Kawa")),
    "hazelnut": (
        "beans",
        (160, 105, 60),
        ("Hazelnut", "Haselnuss", "Noisette", "Avellana", "Nocciola", "Orzech"),
    ),
    "vanilla": (
        "flower",
        (245, 225, 165),
        ("Vanilla", "Vanille", "Vanille", "Vainilla", "Vaniglia", "Wanilia"),
    ),
    "natural": (
        "drop",
        (120, 185, 225),
        ("Natural", "Natur", "Nature", "Natural", "Naturale", "Naturalny"),
    ),
}


@dataclass(frozen=True, slots=True)
class Category:
    """What a product is: its names by language, the packages, flavours and sizes it comes in."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    flavours: tuple[str, ...]
    sizes: tuple[str, ...]


_FRUIT = ("orange", "lemon", "lime", "strawberry", "cherry", "blueberry", "raspberry", "apple")
CATEGORIES: dict[str, Category] = {
    "lemonade": Category(
        ("Lemonade", "Limonade", "Limonade", "Limonada", "Limonata", "Lemoniada"),
        ("can", "slim_can", "bottle"),
        (*_FRUIT, "peach", "mint"),
        ("250 ml", "330 ml", "500 ml"),
    ),
    "juice": Category(
        ("Juice", "Saft", "Jus", "Zumo", "Succo", "Sok"),
        ("brick", "gable", "bottle"),
        (*_FRUIT, "peach", "tomato"),
        ("200 ml", "500 ml", "750 ml", "1 l"),
    ),
    "iced tea": Category(
        ("Iced Tea", "Eistee", "Thé glacé", "Té helado", "Tè freddo", "Herbata"),
        ("can", "slim_can", "brick", "bottle"),
        ("peach", "lemon", "mint", "raspberry"),
        ("330 ml", "500 ml", "1 l"),
    ),
    "milk drink": Category(
        ("Milk Drink", "Milchdrink", "Boisson lactée", "Batido", "Bevanda", "Napój mleczny"),
        ("gable", "brick", "bottle", "cup"),
        ("cocoa", "vanilla", "strawberry", "coffee", "oat", "natural"),
        ("250 ml", "500 ml", "1 l"),
    ),
    "yoghurt": Category(
        ("Yoghurt", "Joghurt", "Yaourt", "Yogur", "Yogurt", "Jogurt"),
        ("cup",),
        ("strawberry", "cherry", "blueberry", "peach", "vanilla", "natural", "honey"),
        ("125 g", "150 g", "400 g"),
    ),
    "muesli": Category(
        ("Muesli", "Müsli", "Muesli", "Muesli", "Muesli", "Musli"),
        ("box", "pouch"),
        ("oat", "honey", "cocoa", "apple", "blueberry", "hazelnut"),
        ("300 g", "500 g", "750 g"),
    ),
    "tea": Category(
        ("Tea", "Tee", "Thé", "Té", "Tè", "Herbata"),
        ("box", "tin"),
        ("mint", "herbs", "lemon", "cherry", "vanilla"),
        ("20 bags", "25 bags", "50 g"),
    ),
    "biscuits": Category(
        ("Biscuits", "Kekse", "Biscuits", "Galletas", "Biscotti", "Herbatniki"),
        ("box", "pouch", "tin"),
        ("cocoa", "oat", "vanilla", "hazelnut", "lemon", "honey"),
        ("150 g", "200 g", "320 g"),
    ),
    "jam": Category(
        ("Jam", "Konfitüre", "Confiture", "Mermelada", "Confettura", "Dżem"),
        ("jar",),
        ("strawberry", "cherry", "orange", "blueberry", "raspberry", "peach"),
        ("220 g", "340 g", "450 g"),
    ),
    "spread": Category(
        ("Spread", "Aufstrich", "Tartinade", "Crema", "Crema", "Krem"),
        ("jar",),
        ("hazelnut", "cocoa", "honey"),
        ("200 g", "350 g"),
    ),
    "coffee": Category(
        ("Ground", "Röstkaffee", "Moulu", "Molido", "Macinato", "Mielona"),
        ("pouch", "tin", "jar"),
        ("coffee", "hazelnut", "vanilla", "cocoa"),
        ("200 g", "250 g", "500 g"),
    ),
    "sauce": Category(
        ("Sauce", "Soße", "Sauce", "Salsa", "Salsa", "Sos"),
        ("tin", "jar", "bottle"),
        ("tomato", "herbs", "lemon"),
        ("250 g", "400 g", "500 g"),
    ),
    "crisps": Category(
        ("Crisps", "Chips", "Chips", "Patatas", "Patatine", "Chipsy"),
        ("pouch",),
        ("natural", "herbs", "tomato", "lime", "honey"),
        ("40 g", "125 g", "175 g"),
    ),
}

CLAIMS: dict[str, tuple[str, ...]] = {
    "en": ("100% natural", "no added sugar", "new recipe", "source of fibre", "family recipe"),
    "de": ("100% natürlich", "ohne Zuckerzusatz", "neue Rezeptur", "nach Familienart"),
    "fr": ("100% naturel", "sans sucres ajoutés", "nouvelle recette", "source de fibres"),
    "es": ("100% natural", "sin azúcares añadidos", "nueva receta", "receta familiar"),
    "it": ("100% naturale", "senza zuccheri", "nuova ricetta", "ricetta di casa"),
    "pl": ("100% naturalny", "bez cukru", "nowa receptura", "przepis rodzinny"),
}

FACTS: dict[str, tuple[str, ...]] = {
    "en": ("Nutrition per 100 g", "Energy", "Fat", "Carbohydrate", "Sugars", "Protein", "Salt"),
    "de": ("Nährwerte je 100 g", "Energie", "Fett", "Kohlenhydrate", "Zucker", "Eiweiß", "Salz"),
    "fr": ("Nutrition pour 100 g", "Énergie", "Lipides", "Glucides", "Sucres", "Protéines", "Sel"),
    "es": ("Nutrición por 100 g", "Energía", "Grasas", "Hidratos", "Azúcares", "Proteínas", "Sal"),
    "it": ("Valori per 100 g", "Energia", "Grassi", "Carboidrati", "Zuccheri", "Proteine", "Sale"),
    "pl": ("Wartości na 100 g", "Energia", "Tłuszcz", "Węglowodany", "Cukry", "Białko", "Sól"),
}


def brand(rng: np.random.Generator) -> str:
    """An invented brand name of three or more syllables."""
    name = "".join(str(rng.choice(part)) for part in (_HEADS, _MIDDLES, _TAILS))
    return name.upper() if rng.random() < 0.4 else name.capitalize()


def blurb(rng: np.random.Generator, words: int) -> str:
    """Small print: lower-case words of the brand syllables, as ingredients run on a back panel."""
    syllables = _MIDDLES + _TAILS
    made = ["".join(rng.choice(syllables, size=rng.integers(1, 4))) for _ in range(words)]
    return ", ".join(made).capitalize() + "."
