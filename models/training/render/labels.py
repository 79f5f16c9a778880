"""Label art: the sides of a package and the wraps of round bodies, drawn from a Design.

Two designs that differ in one field give panels that differ only in what this field controls,
which is what families of look-alikes need.
"""

import numpy as np
from PIL import Image, ImageChops

from models.training.render.design import Design
from models.training.render.layouts import LAYOUTS
from models.training.render.motifs import blend, motif
from models.training.render.sheet import Box, Sheet, gradient, ink, luminance
from models.training.render.typefaces import Typeface
from models.training.render.wording import CLAIMS, FACTS, FLAVOURS, blurb


def front(design: Design, width: int, height: int) -> Image.Image:
    """The main panel, RGB, width x height pixels."""
    rng = np.random.default_rng([design.seed, 1])
    accent, cream = design.accent, (252, 250, 242)
    motif_name, fruit, _ = FLAVOURS[design.flavour]
    light = blend(design.ground, (255, 255, 255), 0.1)
    sheet = Sheet(gradient((width, height), light, design.ground))
    slots = LAYOUTS[design.layout](sheet, design, fruit)

    spot = int(slots.motif_size * min(width, height))
    sheet.picture(motif(motif_name, fruit, spot, design.seed), *slots.motif_at)
    if rng.random() < 0.35 and luminance(slots.brand_ground) < 0.7:
        brand_ink, rim = cream, blend(accent, (0, 0, 0), 0.6)
        sheet.text(design.brand, design.brand_face, slots.brand, brand_ink, rim)
    else:
        brand_ink = ink(slots.brand_ground, cream if slots.brand_ground == accent else accent)
        sheet.text(design.brand, design.brand_face, slots.brand, brand_ink)
    sheet.text(design.name, design.name_face, slots.name, ink(slots.name_ground, accent))
    if rng.random() < 0.5 or design.layout == "minimal":
        letter = ink(slots.flavour_ground, blend(fruit, (0, 0, 0), 0.25))
    else:
        x1, y1, x2, y2 = slots.flavour
        sheet.fill((x1 - 0.04, y1 - 0.012, x2 + 0.04, y2 + 0.012), fruit)
        letter = ink(fruit, cream)
    sheet.text(design.flavour_name, design.name_face, slots.flavour, letter)
    size_ink = ink(slots.size_ground, (40, 36, 40))
    sheet.text(design.size, Typeface("sans", 0.03), slots.size, size_ink)
    if slots.badge and rng.random() < 0.6:
        _badge(sheet, design, left=bool(rng.random() < 0.5))
    return sheet.image


def _badge(sheet: Sheet, design: Design, *, left: bool) -> None:
    """A round claim such as "new recipe" beside the motif."""
    half, flat = 0.14, 0.14 * sheet.image.width / sheet.image.height
    x, y = 0.19 if left else 0.81, max(0.47, 0.41 + flat)
    colour = blend(design.accent, (255, 210, 40), 0.75)
    area: Box = (x - half, y - flat, x + half, y + flat)
    sheet.ellipse(area, colour)
    claims = CLAIMS[design.language]
    first, _, rest = claims[design.seed % len(claims)].partition(" ")
    letter, face = ink(colour, (32, 28, 34)), Typeface("sans", 0.03)
    sheet.text(first, face, (x - 0.1, y - flat * 0.55, x + 0.1, y - flat * 0.05), letter)
    sheet.text(rest, face, (x - 0.11, y, x + 0.11, y + flat * 0.5), letter)


def back(design: Design, width: int, height: int) -> Image.Image:
    """The panel of small print: brand, nutrition table, ingredients, bars of a code."""
    rng = np.random.default_rng([design.seed, 2])
    ground = blend(design.ground, (255, 255, 255), 0.25)
    sheet = Sheet(Image.new("RGB", (width, height), ground))
    sheet.fill((0, 0, 1, 0.09), design.accent)
    print_ink = ink(design.accent, (252, 250, 242))
    sheet.text(design.brand, design.brand_face, (0.2, 0.015, 0.8, 0.075), print_ink)
    paper = (250, 249, 246)
    small, size = Typeface("serif"), max(int(min(width * 0.05, height * 0.036)), 6)
    sheet.fill((0.06, 0.12, 0.94, 0.72), paper)
    for row, fact in enumerate(FACTS[design.language]):
        y = 0.135 + row * 0.045
        sheet.line(fact, small, 0.1, y, size)
        if row:
            sheet.line(f"{rng.uniform(0.1, 60):.1f} g", small, 0.7, y, size)
        sheet.fill((0.09, y + 0.038, 0.91, y + 0.04), (120, 118, 120))
    for row in range(5):
        sheet.line(blurb(rng, 3), small, 0.09, 0.48 + row * 0.046, size * 4 // 5)
    sheet.fill((0.22, 0.74, 0.78, 0.95), (252, 252, 252))
    x = 0.26
    while x < 0.73:
        bar = 0.006 * int(rng.integers(1, 4))
        sheet.fill((x, 0.76, x + bar, 0.91), (20, 20, 20))
        x += bar + 0.006 * int(rng.integers(1, 4))
    digits = "".join(str(d) for d in rng.integers(0, 10, 13))
    sheet.text(digits, Typeface("sans"), (0.26, 0.915, 0.74, 0.945), (20, 20, 20))
    return sheet.image


def side(design: Design, width: int, height: int) -> Image.Image:
    """A narrow panel: the accent colour, the motif, the brand running upwards."""
    motif_name, fruit, _ = FLAVOURS[design.flavour]
    light = blend(design.accent, (255, 255, 255), 0.12)
    sheet = Sheet(gradient((width, height), light, design.accent))
    turned = Sheet(Image.new("RGB", (height * 6 // 10, width * 7 // 10), design.accent))
    letter = ink(design.accent, design.ground)
    turned.text(design.brand, design.brand_face, (0.04, 0.1, 0.96, 0.9), letter)
    upright = turned.image.rotate(90, expand=True).convert("RGBA")
    # The band around the turned name must not show: only the letters are kept.
    difference = np.abs(np.array(upright)[..., :3].astype(int) - np.array(design.accent)).sum(-1)
    scale = max(int(difference.max()), 1)
    letters = Image.new("RGBA", upright.size, letter)
    letters.putalpha(Image.fromarray((difference * 255 // scale).astype(np.uint8)))
    sheet.picture(letters, 0.5, 0.4)
    spot = max(int(min(width * 0.8, height * 0.3)), 12)
    sheet.picture(motif(motif_name, fruit, spot, design.seed), 0.5, 0.85)
    return sheet.image


def top(design: Design, width: int, height: int) -> Image.Image:
    """The lid of a carton: accent colour, brand and name."""
    sheet = Sheet(Image.new("RGB", (width, height), design.accent))
    letter = ink(design.accent, design.ground)
    sheet.text(design.brand, design.brand_face, (0.12, 0.12, 0.88, 0.6), letter)
    sheet.text(design.flavour_name, design.name_face, (0.2, 0.64, 0.8, 0.88), letter)
    return sheet.image


def wrap(design: Design, width: int, height: int, *, fronts: int = 1) -> Image.Image:
    """A label around a round body, seam at both ends, a front in the middle.

    With two fronts the second lies across the seam, as on drink cans; else small print does.
    """
    if fronts == 2:
        # Two thirds of what one sees at once, so that a front fits whole on the near side.
        panel, gap = int(width * 0.4), width - 2 * int(width * 0.4)
        main = front(design, panel, height)
        narrow = side(design, gap // 2, height)
        turn = Image.new("RGB", (width, height), design.accent)
        for x, piece in ((0, main), (panel, narrow), (panel + gap // 2, main)):
            turn.paste(piece, (x, 0))
        turn.paste(narrow, (2 * panel + gap // 2, 0))
        return ImageChops.offset(turn, (width - panel) // 2, 0)
    panel = int(width * 0.42)
    main = front(design, panel, height)
    sheet = Image.new("RGB", (width, height), design.accent)
    rest = width - panel
    print_width = int(rest * 0.62)
    small = back(design, print_width, height)
    band = side(design, (rest - print_width) // 2, height)
    x = (width - panel) // 2
    sheet.paste(main, (x, 0))
    sheet.paste(band, (x - band.width, 0))
    sheet.paste(band, (x + panel, 0))
    half = print_width // 2
    sheet.paste(small.crop((half, 0, print_width, height)), (0, 0))
    sheet.paste(small.crop((0, 0, half, height)), (width - half, 0))
    return sheet
