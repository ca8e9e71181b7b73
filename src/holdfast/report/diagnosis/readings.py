"""How to read each quantity: what it is, its range, what means nothing, and what to mind."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.diagnosis.findings import Findings


@dataclass(frozen=True)
class Reading:
    """What a reader should know of a quantity.

    Attributes:
        term: What it is called.
        text: What it means.
        asked: Beginnings of the names it has in the records; it is explained where one of them is there.
    """

    term: str
    text: str
    asked: tuple[str, ...]


READINGS = (
    Reading(
        "Random update of the same size",
        "A Gaussian change with the norm of the update in the same weight. What it shows too is what any change of its "
        "size does, and no finding about this one.",
        ("relative_size",),
    ),
    Reading(
        "Relative size",
        "‖ΔW‖ over ‖W‖, 0 or more; 0 is no change. Read every measure of shape beside it: most grow with it.",
        ("relative_size",),
    ),
    Reading(
        "Stable rank and entropy rank",
        "Over how many directions a change is spread, from 1 to its rank. Stable rank counts in units of the strongest "
        "direction (PEFT-Arena prints it as effective rank); entropy rank (Roy and Vetterli) counts weak ones too, and "
        "of merged checkpoints rounding as well. A low-rank adapter cannot exceed its rank.",
        ("stable_rank", "entropy_rank"),
    ),
    Reading(
        "Retention and adaptation profiles",
        "For each singular direction i of the base, |uᵢ·ΔW vᵢ| and ‖ΔW vᵢ‖, both over the largest singular value of "
        "the base (PEFT-Arena, arXiv 2605.28819). 0 is no change. Of a wide weight they see part of the inputs only, "
        "and most of a change lies off the diagonal: energy seen and diagonal share say how much.",
        ("fluctuation", "relative_fluctuation", "energy_seen", "diagonal_frac"),
    ),
    Reading(
        "Fluctuation",
        "How far a profile departs from its moving average over 5 directions, for its mean: 0 where it is smooth. "
        "The published form is not divided by the mean and grows with the size of the update.",
        ("relative_fluctuation",),
    ),
    Reading(
        "Singular value change",
        "Norm of the moves of all singular values over their norm, from 0 to the relative size; 0 for a rotation. Any "
        "small change moves them by less than its size, so hold it against the random update.",
        ("singular_value",),
    ),
    Reading(
        "Alignment",
        "|cosine| of singular vectors before and after, 0 to 1; 1 is unchanged. Vectors that change places count as "
        "turned unless they are matched, and vectors of nearly equal values turn easily.",
        ("alignment", "matched_alignment"),
    ),
    Reading(
        "Subspace distance",
        "Root mean square sine of the angles between the leading subspaces before and after, 0 to 1; 0 is unchanged. "
        "It is about subspaces, so it does not mind which vectors stand for them.",
        ("subspace_distance/",),
    ),
    Reading(
        "Intruders",
        "Leading directions of the tuned weight whose cosine with every direction of the base is below 0.5 "
        "(Shuttleworth et al., arXiv 2410.21228); none where nothing changed. A count with a threshold: 0 is not "
        "harmless, and 1 is not harm.",
        ("intruders",),
    ),
    Reading(
        "Relative drift",
        "Mean ‖ΔW h‖² over mean ‖W h‖², h being what the layer of the base reads on the prompts (PEFT-Arena, arXiv "
        "2605.28819); 0 is no change. It mixes size with direction, and knows nothing of what earlier layers changed.",
        ("drift_relative", "drift_absolute"),
    ),
    Reading(
        "Drift alignment and drift ratio",
        "Alignment is 1 for an update that does not prefer the directions the data use, and above 1 for one that does. "
        "The ratio is general over target: above 1 the update acts more on what is to be kept. Both are descriptions, "
        "not causes.",
        ("drift_alignment", "drift_ratio"),
    ),
    Reading(
        "Procrustes residual",
        "What differs between activations before and after the best rotation, over the norm before; 0 where relations "
        "between tokens are intact. It shrinks with the width for too few tokens, however unrelated: hold it against "
        "unrelated tokens, or read the held-out one.",
        ("procrustes_residual", "held_out_procrustes"),
    ),
    Reading(
        "CKA",
        "Similarity of the relations between tokens before and after (Kornblith et al., arXiv 1905.00414), 1 where "
        "they are intact. The unbiased estimate is 0 on average for unrelated tokens, and at times below; the "
        "biased one is well above 0 for few tokens.",
        ("cka",),
    ),
    Reading(
        "Gram distance",
        "Change of the cosines between all pairs of tokens over those before; 0 where none has changed. Activations "
        "are not centred, so a common direction that is kept hides changes in all others.",
        ("gram_cosine",),
    ),
    Reading(
        "Angular drift and norm drift",
        "Mean angle by which a token's activation has turned, 0 to π, and mean |log| of its length over the length "
        "before. A rotation of everything at once counts in full here and not at all in the measures above.",
        ("angular_drift", "norm_drift"),
    ),
    Reading(
        "Unrelated tokens",
        "The same measure between tokens of the base and tokens of other prompts of the tuned model: what nothing in "
        "common looks like at this width and with so many tokens.",
        ("procrustes_residual", "cka", "gram_cosine"),
    ),
    Reading(
        "Intervals",
        "In brackets: 95% bootstrap intervals over prompts. They say how far a number might move with other prompts of "
        "the same kind, not with another training seed.",
        ("drift_relative", "procrustes_residual"),
    ),
)


def readings_of(findings: Findings) -> list[Reading]:
    """What is to be explained: the quantities that the diagnosis has."""
    names = {record.quantity for record in findings.diagnosis.records}
    return [reading for reading in READINGS if any(name.startswith(reading.asked) for name in names)]
