"""The correlations as records: for scripts, and to compare two comparisons."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.record import Record
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.relation import Relation
from holdfast.report.relations.analysis import Related


def records_of(related: Related) -> list[Record]:
    """All records; the subject is a measure, and the outcome is forgetting unless the quantity says otherwise.

    ``pearson_without`` is at the site of the method that was left out. What foretells methods left out without any
    measure has ``mean`` or a covariate for its subject.
    """
    records = [record for relation in related.relations for record in _of_measure(relation)]
    records += [_record(name, "pearson_with_gain", found) for name, found in related.with_gain.items()]
    baselines = related.size.baselines
    return records + [_record(each.predictor, "r_squared_left_out", each.r_squared) for each in baselines]


def _of_measure(relation: Relation) -> Iterator[Record]:
    name = relation.measure
    yield _record(name, "pearson", relation.pearson)
    yield _record(name, "spearman", relation.spearman)
    for partial in relation.partials:
        held = "_and_".join(each.replace(" ", "_") for each in partial.given)
        yield _record(name, f"spearman_given_{held}", partial.spearman)
    if isinstance(relation.left_out, Undefined):
        yield _record(name, "pearson_without", relation.left_out)
    else:
        for without in relation.left_out.without:
            yield _record(name, "pearson_without", without.pearson, " and ".join(without.families))
    yield _record(name, "r_squared_left_out", relation.prediction.r_squared)
    yield _record(name, "p_adjusted", relation.adjusted_p)


def _record(subject: str, quantity: str, found: Estimate | float | Undefined, site: str = "") -> Record:
    if isinstance(found, Undefined):
        return Record(subject=subject, quantity=quantity, site=site, reason=found.reason)
    if isinstance(found, Estimate):
        spread = (found.spread.low, found.spread.high)
        return Record(subject=subject, quantity=quantity, site=site, value=found.value, spread=spread)
    return Record(subject=subject, quantity=quantity, site=site, value=found)
