"""Designs: every choice that label art depends on, and none that drawing adds."""

from dataclasses import dataclass

from models.training.render.motifs import Colour
from models.training.render.typefaces import Typeface
from models.training.render.wording import CATEGORIES, FLAVOURS, LANGUAGES


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that label art depends on; colours are sRGB 0..255."""

    brand: str
    category: str
    flavour: str
    size: str
    language: str
    ground: Colour
    accent: Colour
    layout: str
    brand_face: Typeface
    name_face: Typeface
    seed: int

    @property
    def name(self) -> str:
        """The product's name in the label's language."""
        return CATEGORIES[self.category].names[LANGUAGES.index(self.language)]

    @property
    def flavour_name(self) -> str:
        """The flavour in the label's language."""
        return FLAVOURS[self.flavour][2][LANGUAGES.index(self.language)]
