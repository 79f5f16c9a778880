"""Calibrated rejection on the open photographs: false accepts asked for, and observed.

    python -m bench.calibration [--data ../shared/data] [--pack models/packs/embedded] [--most 14]
                                [--halves 20] [--work FOLDER] [--write docs/benchmarks.md]
                                [--embedder WORK]

Each photograph (`--most` of a grocery; every drink's original) is detected and embedded once, as
`/recognize` does it; `--work` keeps the vectors, so that a run that was stopped goes on. Then, for
each of the random halves: half of the products are enrolled in a gallery of the service, without a
fifth of their photographs, and the gallery is calibrated. Photographs of the other half are unknown
products, the fifth kept back are known ones; they ask with all their regions.

With --embedder it is on products that the embedder was not trained on: WORK is where its recipe
(models.training.recipes.embedded_embedder) worked, and each fifth of the products is halved by
itself.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.progress import track

from app.verification import Verdict
from bench.folded import folded_pack
from bench.halves import CLAIMED, Half, Vectors, choose, halve, look
from bench.report import circumstances, parser_of, publish, table
from models.pack import EmbedderSpec, Pack
from models.training.open_data import Photo
from models.training.recipes.split import PARTS, folds

RATES = (0.01, 0.05, 0.1)
CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
REFERENCE = 0.5  # PP-ShiTuV2's own threshold, whatever the gallery
FACTOR = 1.5
DEPARTMENTS = ("Fruit", "Vegetables", "Packages")
BINS = 10
_ALL = 10_000  # photographs of a grocery: no fold has too many


def rates_table(halves: Sequence[Half]) -> str:
    """Asked against observed, over the halves."""
    rows = []
    for rate in RATES:
        thresholds = [half.calibration.threshold(rate) for half in halves]
        both = list(zip(halves, thresholds, strict=True))
        observed = [half.false_accepts(threshold) for half, threshold in both]
        alone = [half.false_accepts(half.alone.threshold(rate)) for half in halves]
        single = _mean(np.mean(h.unknown.scores[h.single] >= limit) for h, limit in both)
        intervals = [half.calibration.interval(rate) for half in halves]
        inside = [
            low <= seen <= high for seen, (low, high) in zip(observed, intervals, strict=True)
        ]
        expected = [half.calibration.miss_rate(threshold) for half, threshold in both]
        missed = [1 - half.accepted(threshold) for half, threshold in both]
        rows.append(
            (
                f"{rate:.0%}",
                f"{min(thresholds):.3f} to {max(thresholds):.3f}",
                f"{_mean(half.calibration.expected_rate(rate) for half in halves):.1%}",
                f"{np.mean(observed):.1%}",
                f"{single:.1%}",
                f"{min(observed):.1%} to {max(observed):.1%}",
                _count(_near(rate, observed)),
                f"{np.mean(alone):.1%}",
                _count(_near(rate, alone)),
                _count(_near(rate, _at_fixed(rate, halves))),
                _count(inside),
                f"{_mean(low for low, _ in intervals):.1%} to "
                f"{_mean(high for _, high in intervals):.1%}",
                f"{np.mean(expected):.1%}",
                f"{np.mean(missed):.1%}",
            )
        )
    header = (
        "asked",
        "thresholds",
        "expected, mean",
        "observed, mean",
        "of one body alone",
        "observed, range",
        f"within a factor of {FACTOR}",
        "observed, by references alone",
        "so, by references alone",
        "so, best fixed threshold",
        "inside the interval",
        "interval, mean",
        "misses expected",
        "misses observed",
    )
    return table(header, rows)


def few_table(departments: Mapping[str, Sequence[Half]]) -> str:
    """Asked, expected and observed where there are few products."""
    rows = []
    for name, halves in departments.items():
        for rate in RATES:
            seen = [h.false_accepts(h.calibration.threshold(rate)) for h in halves]
            intervals = [half.calibration.interval(rate) for half in halves]
            inside = [low <= o <= high for o, (low, high) in zip(seen, intervals, strict=True)]
            rows.append(
                (
                    name,
                    f"{_mean(half.calibration.product_count for half in halves):.0f}",
                    f"{rate:.0%}",
                    f"{_mean(h.calibration.expected_rate(rate) for h in halves):.1%}",
                    f"{_mean(seen):.1%}",
                    _count(inside),
                )
            )
    header = (
        "department",
        "products",
        "asked",
        "expected, mean",
        "observed, mean",
        "inside the interval",
    )
    return table(header, rows)


def fixed_table(halves: Sequence[Half]) -> str:
    """Right answers accepted: calibrated, and by the one threshold with as many false accepts."""
    rows = []
    for rate in CURVE:
        thresholds = [half.calibration.threshold(rate) for half in halves]
        wrong = _mean(half.false_accepts(t) for half, t in zip(halves, thresholds, strict=True))
        right = _mean(half.accepted(t) for half, t in zip(halves, thresholds, strict=True))
        best = _fixed(wrong, halves)
        fixed = _mean(half.accepted(best) for half in halves)
        rows.append((f"{rate:.0%}", f"{wrong:.1%}", f"{right:.1%}", f"{best:.3f}", f"{fixed:.1%}"))
    wrong = _mean(half.false_accepts(REFERENCE) for half in halves)
    right = _mean(half.accepted(REFERENCE) for half in halves)
    rows.append(("not calibrated", f"{wrong:.1%}", "", f"{REFERENCE:.3f}", f"{right:.1%}"))
    header = (
        "asked",
        "false accepts observed",
        "right, calibrated",
        "fixed threshold",
        "right, fixed",
    )
    return table(header, rows)


def reliability(halves: Sequence[Half]) -> tuple[str, float]:
    """Probabilities given and how often the product was right, and the expected error of them.

    In every half photographs of known products count as much as those of unknown ones.
    """
    given, right, weights = (
        np.concatenate(columns)
        for columns in zip(*(_probabilities(half) for half in halves), strict=True)
    )
    places = np.minimum((given * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for place in range(BINS):
        here = places == place
        if not here.any():
            continue
        share = float(weights[here].sum() / weights.sum())
        said = float(np.average(given[here], weights=weights[here]))
        seen = float(np.average(right[here], weights=weights[here]))
        error += share * abs(said - seen)
        rows.append(
            (
                f"{place / BINS:.0%} to {(place + 1) / BINS:.0%}",
                f"{share:.1%}",
                f"{said:.1%}",
                f"{seen:.1%}",
            )
        )
    return table(("probability", "of all answers", "mean", "were right"), rows), error


def claims_table(halves: Sequence[Half]) -> str:
    """Verdicts on what photographs claimed to show."""
    rows = []
    for claim in halves[0].claims:
        verdicts = [verdict for half in halves for verdict in half.claims[claim]]
        shares = [verdicts.count(each) / len(verdicts) for each in get_args(Verdict)]
        rows.append((claim, str(len(verdicts)), *(f"{share:.1%}" for share in shares)))
    return table(("claimed", "claims", *get_args(Verdict)), rows)


def halved(
    name: str,
    photos: Sequence[Photo],
    vectors: Sequence[Vectors],
    some: Sequence[int],
    count: int,
    embedder: EmbedderSpec,
) -> list[Half]:
    """So many random halves of `some` of the photographs; `name`: what they are of."""
    return [
        halve([photos[i] for i in some], [vectors[i] for i in some], seed, embedder)
        for seed in track(range(count), name, console=Console(stderr=True))
    ]


def run_kept_out(data: Path, work: Path, embedders: Path, *, halves: int, threads: int) -> str:
    """The section on products that the embedder was not trained on, as Markdown."""
    photos = choose(data, _ALL)
    of = folds(photo.identity for photo in photos)
    made: dict[str, list[Half]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(PARTS):
            pack = folded_pack(embedders, fold, Path(folder) / str(fold))
            chosen = [photo for photo in photos if of[photo.identity] == fold]
            vectors = look(chosen, pack, work, threads)
            groceries = [place for place, photo in enumerate(chosen) if not photo.boxes]
            for name, some in (("Groceries", groceries), ("… and drinks", range(len(chosen)))):
                made.setdefault(name, []).extend(
                    halved(name, chosen, vectors, some, halves // PARTS, pack.embedder)
                )
    parts = [
        "## Calibrated rejection of products that were kept out of training",
        f"`python -m bench.calibration --embedder WORK`, {halves // PARTS} random halves of each "
        f"of {PARTS} folds' products. {circumstances()}",
    ]
    for name, of_name in made.items():
        products = _mean(half.calibration.product_count for half in of_name)
        parts += [f"### {name}: {products:.0f} products enrolled", rates_table(of_name)]
    return "\n\n".join(parts)


def run(data: Path, pack: Pack, work: Path, *, most: int, halves: int, threads: int) -> str:
    """The section as Markdown."""
    photos = choose(data, most)
    vectors = look(photos, pack, work, threads)
    parts = [
        "## Calibrated rejection",
        f"Pack `{pack.name}` {pack.version}, `python -m bench.calibration`, {halves} random "
        f"halves, at most {most} photographs of a grocery. {circumstances()}",
    ]
    pooled: list[Half] = []

    groceries = [place for place, photo in enumerate(photos) if not photo.boxes]
    for name, some in (
        ("Groceries", groceries),
        ("Groceries and drinks", range(len(photos))),
    ):
        made = halved(name, photos, vectors, some, halves, pack.embedder)
        pooled += made
        bins, error = reliability(made)
        parts += [
            f"### {name}",
            f"{_mean(len(half.calibration.impostors) for half in made):.0f} references "
            f"of {_mean(half.calibration.product_count for half in made):.0f} products; "
            f"{_mean(len(half.unknown.scores) for half in made):.0f} photographs of unknown "
            f"products, {_mean(float(half.single.sum()) for half in made):.0f} of them with "
            "no more than one body labelled, and "
            f"{_mean(len(half.known.scores) for half in made):.0f} of known ones.",
            rates_table(made),
            "The probability of being right, where as many photographs show unknown products as "
            f"enrolled ones: expected calibration error {error:.3f}.",
            bins,
            f"`/verify`, asked for {CLAIMED:.0%} wrong matches among claims of a random product:",
            claims_table(made),
        ]
    departments = {
        name: halved(
            name,
            photos,
            vectors,
            [i for i in groceries if name in photos[i].path.parts],
            halves,
            pack.embedder,
        )
        for name in DEPARTMENTS
    }
    parts += [
        "### A department of groceries alone",
        "Too few products to tell a small rate; the rate to expect says so.",
        few_table(departments),
        "### Right answers accepted",
        "Over all these galleries; the best fixed threshold is chosen on the answers themselves, "
        "for as many false accepts as calibration had.",
        fixed_table(pooled),
    ]
    return "\n\n".join(parts)


def _fixed(rate: float, halves: Sequence[Half]) -> float:
    """The lowest threshold with no more false accepts; it is chosen knowing the answers."""
    candidates = np.unique(np.concatenate([half.unknown.scores for half in halves]))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if _mean(half.false_accepts(candidates[middle]) for half in halves) <= rate:
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def _at_fixed(rate: float, halves: Sequence[Half]) -> list[float]:
    """What is observed at the threshold that has the asked rate on average."""
    threshold = _fixed(rate, halves)
    return [half.false_accepts(threshold) for half in halves]


def _near(rate: float, observed: Sequence[float]) -> list[bool]:
    return [rate / FACTOR <= seen <= rate * FACTOR for seen in observed]


def _probabilities(half: Half) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each photograph the probability given, whether it was right, and its weight."""
    given, right, weights = [], [], []
    probability: Callable[[float, float], float] = half.calibration.reliability.probability
    for answers, is_known in ((half.known, True), (half.unknown, False)):
        given += [probability(s, m) for s, m in zip(answers.scores, answers.margins, strict=True)]
        right += (answers.right & is_known).tolist()
        weights += [1 / len(answers.scores)] * len(answers.scores)
    return np.array(given), np.array(right, dtype=np.float64), np.array(weights)


def _count(flags: Sequence[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"


def _mean(values: Iterable[float | np.floating]) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    parser = parser_of(__doc__, "data", "pack", "threads")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "calibration")
    parser.add_argument("--most", type=int, default=14, help="photographs of a grocery")
    parser.add_argument("--halves", type=int, default=20)
    parser.add_argument("--embedder", type=Path, help="where its recipe worked")
    options = parser.parse_args()
    if options.embedder:
        name, section = (
            "calibration, kept out",
            run_kept_out(
                options.data,
                options.work,
                options.embedder,
                halves=options.halves,
                threads=options.threads,
            ),
        )
    else:
        name, section = (
            "calibration",
            run(
                options.data,
                Pack.load(options.pack),
                options.work,
                most=options.most,
                halves=options.halves,
                threads=options.threads,
            ),
        )
    publish(options.write, name, section)


if __name__ == "__main__":
    main()
