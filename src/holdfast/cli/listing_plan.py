"""A plan of parameters in a terminal: the tensors, how clearly they were chosen, and where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.record import Record
from holdfast.core.sites import block_of

MOST_LINES = 40
"""So many tensors at most are printed; a plan for a large model names hundreds."""

WORDS = {
    "plan": "this plan",
    "random": "shuffled",
    "same_depth_profile": "types shuffled in layers",
    "same_type_profile": "layers shuffled in types",
}


def listed(console: Console, plan: ParameterPlan, whose: str, facts: Sequence[Record] = ()) -> None:
    """Print a plan: shares of tensors and of parameters, the chosen tensors, the gap at the cut, layers and types."""
    told = {fact.quantity: fact.value for fact in facts}
    how = "carried over from what it found on the small model" if "mapped_to" in plan.settings else "found by a probe"
    console.print(Text(f"\n{plan.task} on {whose}, by {plan.method}: {how}", style="bold"), soft_wrap=True)
    if told.get("probe_steps") is not None:
        console.print(
            f"probed in {told['probe_steps']:.0f} steps, {told['probe_tokens']:,.0f} tokens, {told['probe_s']:.1f} s"
        )
    for reason, kinds in (
        ("only the small model has", plan.settings.get("types_only_small")),
        ("without a score, because the small plan does not speak of them:", plan.settings.get("types_without_score")),
    ):
        if kinds:
            console.print(Text(f"{reason} {', '.join(kinds)}", style="dim"), soft_wrap=True)
    console.print(Text(_shares(plan)), soft_wrap=True)
    console.print(_tensors(plan))
    gap = plan.score_gap
    if gap is not None:
        console.print(f"gap at the cut: {gap:.4f} (lowest score chosen minus highest left out)")
    console.print()
    console.print(_places(plan, "layer", _layer))
    console.print(_places(plan, "type", lambda tensor: block_of(tensor.name)[1]))


def agreed(console: Console, records: Iterable[Record], other: str) -> None:
    """Print how far a plan agrees with another one, beside its controls."""
    values = {(record.subject, record.quantity): record for record in records}
    console.print(Text(f"\nagreement with {other}", style="bold"), soft_wrap=True)
    counts = {key: f"{record.value:.0f}" for key, record in values.items() if key[1].endswith(("here", "_tensors"))}
    console.print(
        f"{counts['plan', 'common_tensors']} tensors in both, {counts['plan', 'tensors_only_here']} in this plan "
        f"alone, {counts['own', 'tensors_only_here']} in the other alone"
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for column in ("value", "interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for quantity, title in (("spearman", "Spearman of scores"), ("jaccard", "Jaccard of chosen")):
        for subject, words in WORDS.items():
            record, p = values[subject, quantity], values.get((subject, f"permutation_p/{quantity}"))
            spread = "" if record.spread is None else f"{record.spread[0]:.3f} to {record.spread[1]:.3f}"
            shown = "\N{EN DASH}" if record.value is None else f"{record.value:.3f}"
            table.add_row(f"{title}, {words}", shown, spread, "" if p is None else f"{p.value:.4f}")
    console.print(table)
    reasons = (values["plan", quantity].reason for quantity in ("spearman", "jaccard"))
    for reason in filter(None, reasons):
        console.print(reason, soft_wrap=True)


def _shares(plan: ParameterPlan) -> str:
    eligible = sum(tensor.params for tensor in plan.tensors)
    trained = plan.trained_params
    chosen, count = len(plan.chosen), len(plan.tensors)
    return (
        f"{chosen} of {count} eligible tensors ({chosen / count:.1%}), with {trained:,} parameters: "
        f"{trained / eligible:.1%} of the eligible ones, {trained / plan.model_params:.1%} of the model"
    )


def _tensors(plan: ParameterPlan) -> Table:
    signals = list(dict.fromkeys(name for tensor in plan.chosen for name in tensor.signals))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("tensor", overflow="fold")
    for column in ("parameters", "of model", "score", *signals):
        table.add_column(column, justify="right", no_wrap=True)
    ranked = sorted(plan.chosen, key=lambda tensor: tensor.rank if tensor.rank is not None else 0)
    for tensor in ranked[:MOST_LINES]:
        score = "\N{EN DASH}" if tensor.score is None else f"{tensor.score:.4f}"
        own = [f"{tensor.signals[name]:.3g}" if name in tensor.signals else "\N{EN DASH}" for name in signals]
        share = tensor.trained_params / plan.model_params
        table.add_row(Text(tensor.name), f"{tensor.trained_params:,}", f"{share:.2%}", score, *own)
    if len(ranked) > MOST_LINES:
        table.add_row(Text(f"and {len(ranked) - MOST_LINES} more", style="dim"))
    return table


def _places(plan: ParameterPlan, title: str, place: Callable[[PlannedTensor], str]) -> Table:
    """How much is chosen in each place; places in which nothing is chosen are counted in one line."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(title, overflow="fold")
    for column in ("tensors", "parameters", "share of them"):
        table.add_column(column, justify="right", no_wrap=True)
    groups: dict[str, list[PlannedTensor]] = {}
    for tensor in plan.tensors:
        groups.setdefault(place(tensor), []).append(tensor)
    empty = 0
    for name, tensors in groups.items():
        chosen = [tensor for tensor in tensors if tensor.chosen]
        trained, params = sum(tensor.trained_params for tensor in chosen), sum(tensor.params for tensor in tensors)
        if chosen:
            table.add_row(Text(name), f"{len(chosen)} of {len(tensors)}", f"{trained:,}", f"{trained / params:.1%}")
        empty += not chosen
    if empty:
        table.add_row(Text(f"{empty} more of which nothing is chosen", style="dim"))
    return table


def _layer(tensor: PlannedTensor) -> str:
    layer, _ = block_of(tensor.name)
    return "outside of layers" if layer is None else str(layer)
