"""A path is walked from a coarse grid to where the choice is open, and every point is asked once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planted import PlantedPath, PlantedTask
from small import METHODS, bits, moved, same_bits

from holdfast.core.rewinding import Walk
from holdfast.measure.evaluate import evaluate
from holdfast.measure.skipping import Skipping
from holdfast.measure.walking import COARSE, Questions, Search, comparable, standing_still, walk
from holdfast.metrics.operating_point.rules import OneStandardError, rule_of
from holdfast.metrics.operating_point.utility import best
from holdfast.models.base import Base
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.recall import Recall
from holdfast.weights.adapter import read_adapter
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.catalogue import default_path, path_of
from holdfast.weights.paths.checkpoints import CheckpointPath
from holdfast.weights.paths.levelled import Levelled


def rising(t: float) -> float:
    """Learned between 0.5 and 0.7, and no more after that."""
    return min(max(5 * (t - 0.5), 0.0), 1.0)


def questions(base: Base, target: Any = rising, kept: Any = lambda t: 1 - t**2) -> Questions:
    return Questions(base, {"new": PlantedTask("new", target)}, {"old": PlantedTask("old", kept)})


def test_a_coarse_grid_comes_first_and_then_the_gaps_where_the_choice_is_open(planted_base: Base) -> None:
    path = PlantedPath()
    found = walk(path, questions(planted_base), Search(resolution_frac=0.05))
    assert path.brought[:5] == list(COARSE)
    assert set(path.brought[5:]) and all(0.5 < t < 0.75 for t in path.brought[5:])
    assert [point.t for point in found.points] == sorted(path.brought)
    assert found.evaluations == len(path.brought) == len(set(path.brought))
    chosen = OneStandardError().pick(curve := _curve(found, planted_base))
    assert curve.candidates[chosen].t == pytest.approx(0.7, abs=0.05)


def _curve(found: Any, base: Base) -> Any:
    from holdfast.metrics.operating_point.candidates import Curve

    return Curve.through(comparable(found.points, questions(base)))


def test_a_budget_is_kept(planted_base: Base) -> None:
    path = PlantedPath()
    walk(path, questions(planted_base), Search(budget=6, resolution_frac=1e-3))
    assert len(path.brought) == 6


def test_base_and_end_are_asked_though_nobody_names_them(planted_base: Base) -> None:
    path = PlantedPath()
    walk(path, questions(planted_base), Search(first=(0.4,), budget=3))
    assert path.brought == [0.0, 0.4, 1.0]


def test_what_is_known_is_not_asked_again(planted_base: Base) -> None:
    asking = questions(planted_base)
    whole = walk(PlantedPath(), asking, Search(budget=5))
    path = PlantedPath()
    known = {point.t: point.scores for point in whole.points if point.t in (0.0, 1.0)}
    again = walk(path, asking, Search(budget=5), known=known)
    assert again.points == whole.points
    assert path.brought == [0.25, 0.5, 0.75] and again.evaluations == 3


def test_points_farther_out_than_the_end_are_told_and_cannot_be_chosen(planted_base: Base) -> None:
    path = PlantedPath(stretch=lambda t: t if t in (0, 1) else 2 * t)
    found = walk(path, questions(planted_base), Search(budget=5))
    assert [point.step_frac for point in found.points] == pytest.approx([0, 0.5, 1.0, 1.5, 1])
    assert [each.t for each in comparable(found.points, questions(planted_base))] == [0, 0.25, 0.5, 1]


def test_divergence_is_that_of_all_texts_by_their_tokens(planted_base: Base) -> None:
    asking = replace(questions(planted_base), keep={"text": PlantedTask("text", lambda t: 1 + t, items=5, ask="read")})
    found = walk(PlantedPath(), asking, Search(budget=5))
    assert [point.kl_nats for point in found.points] == [0, 0.0625, 0.25, 0.5625, 1]
    assert [each.kl_nats for each in comparable(found.points, asking)] == [0, 0.0625, 0.25, 0.5625, 1]
    without = walk(PlantedPath(), questions(planted_base), Search(budget=5))
    assert {point.kl_nats for point in without.points} == {None}


def test_the_rule_decides_where_the_search_goes(planted_base: Base) -> None:
    rule = rule_of("lose_at_most(0.1)")
    found = walk(PlantedPath(), questions(planted_base, target=lambda t: t), Search(rule=rule))
    curve = _curve(found, planted_base)
    # 1 - t^2 loses 0.1 at t = 0.32.
    assert curve.candidates[rule.pick(curve)].t == pytest.approx(0.32, abs=0.05)
    assert not any(0.5 < point.t < 1 for point in found.points if point.t not in COARSE)


def whole(task: PlantedTask) -> set[float]:
    """Points at which all items were asked."""
    return {t for t, ids in task.asked.items() if len(ids) == task.items}


class Blinking(PlantedTask):
    """All items right but one in ten, which are wrong strictly between base and end."""

    def scores(self, t: float, split: str, limit: int | None) -> Any:
        found = super().scores(t, split, limit)
        values = tuple(float(at % 10 > 0 or t in (0, 1)) for at in range(len(found.ids)))
        return found.model_copy(update={"values": values})


def test_skipping_ends_at_the_same_point_with_the_same_scores_for_fewer_questions(planted_base: Base) -> None:
    slow = walk(PlantedPath(), questions(planted_base), Search())
    new, old = PlantedTask("new", rising), PlantedTask("old", lambda t: 1 - t**2)
    found = walk(PlantedPath(), Questions(planted_base, {"new": new}, {"old": old}), Search(skipping=Skipping()))
    assert found.points == slow.points and found.evaluations == slow.evaluations
    asked = sum(len(ids) for task in (new, old) for ids in task.asked.values())
    assert asked < 0.8 * 2 * 200 * len(slow.points)  # though every item changes on the way
    assert sum(each.skipped for each in found.skipped.values()) == 2 * 200 * len(slow.points) - asked
    assert slow.skipped == {}


def test_base_end_the_chosen_point_and_the_one_of_most_gain_are_asked_in_full(planted_base: Base) -> None:
    rule = rule_of("lose_at_most(0.3)")
    new, old = PlantedTask("new", lambda t: min(t / 0.75, 1.0)), PlantedTask("old", lambda t: 1 - t**2)
    asking = Questions(planted_base, {"new": new}, {"old": old})
    found = walk(PlantedPath(), asking, Search(rule=rule, skipping=Skipping()))
    curve = _curve(found, planted_base)
    chosen, top = (curve.candidates[place].t for place in (rule.pick(curve), best(curve.gain, curve.by_step)))
    assert chosen == pytest.approx(0.54, abs=0.05) and top == 0.75
    assert {0.0, chosen, top, 1.0} <= whole(new) & whole(old)
    assert len(whole(new) & whole(old)) < len(found.points)


def test_a_chosen_point_that_was_worse_than_its_neighbours_said_is_chosen_on_its_own_answers(
    planted_base: Base,
) -> None:
    asking = Questions(planted_base, {"new": PlantedTask("new", rising)}, {"old": Blinking("old", lambda t: 1.0)})
    search = Search(skipping=Skipping(audit_frac=1e-9))
    found = walk(PlantedPath(), asking, search)
    curve = _curve(found, planted_base)
    place = search.rule.pick(curve)
    chosen = next(point for point in found.points if point.t == curve.candidates[place].t)
    assert 0 < chosen.t < 1
    assert chosen.scores.of("old").mean == 0.9  # type: ignore[union-attr]


def test_the_audit_tells_of_items_that_go_and_come_back(planted_base: Base) -> None:
    asking = Questions(planted_base, {"new": PlantedTask("new", rising)}, {"old": Blinking("old", lambda t: 1.0)})
    found = walk(PlantedPath(), asking, Search(skipping=Skipping(audit_frac=0.2)))
    told = found.skipped["old"]
    assert told.wrong > 0
    assert told.error_frac > told.wrong / told.audited
    assert found.skipped["new"].wrong == 0
    assert Walk.model_validate_json(found.model_dump_json()) == found


def test_texts_are_read_in_full_at_every_point(planted_base: Base) -> None:
    text = PlantedTask("text", lambda t: 1 + t, items=5, ask="read")
    asking = Questions(planted_base, {"new": PlantedTask("new", rising)}, {"text": text})
    found = walk(PlantedPath(), asking, Search(budget=5, skipping=Skipping()))
    assert [point.kl_nats for point in found.points] == [0, 0.0625, 0.25, 0.5625, 1]
    assert whole(text) == {0, 0.25, 0.5, 0.75, 1}
    assert set(found.skipped) == {"new"}


@pytest.fixture(scope="module")
def adapter(miniature: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walking") / "adapter"
    attachment = moved(METHODS["lora"], miniature.model, by=0.12)
    attachment.save(folder)
    attachment.detach()
    return folder


def test_scores_are_those_of_merged_models_and_the_base_is_given_back(miniature: Base, adapter: Path) -> None:
    before = bits(miniature.model)
    recall, chronicle = Recall(), Chronicle()
    reference = standing_still(miniature, {"chronicle": chronicle})
    asking = Questions(miniature, {"recall": recall}, {"chronicle": chronicle}, limit=6, reference=reference)
    path = default_path(adapter, miniature.model)
    found = walk(path, asking, Search(first=(0.5,), budget=3))
    assert [point.t for point in found.points] == [0, 0.5, 1]
    line = DenseLine(read_adapter(adapter, miniature.model))
    tasks = {"recall": recall, "chronicle": chronicle}
    for point in found.points:
        with line.at(point.t).added_to(miniature.model) as model:
            wanted = evaluate(
                model,
                miniature.tokenizer,
                tasks,
                split="validation",
                limit=6,
                base=reference,  # type: ignore[arg-type]
            )
        assert point.scores.of("recall") == wanted.of("recall")
        text, merged = point.scores.of("chronicle"), wanted.of("chronicle")
        assert text is not None and merged is not None
        assert text.values == pytest.approx(merged.values, rel=1e-4)
        assert point.kl_nats == pytest.approx(merged.mean_kl_nats_per_token, rel=1e-3, abs=1e-6)
    assert found.points[0].kl_nats == pytest.approx(0, abs=1e-6)
    assert same_bits(bits(miniature.model), before)


def test_a_real_walk_with_items_skipped_has_the_scores_of_one_without(miniature: Base, adapter: Path) -> None:
    asking = Questions(miniature, {"recall": Recall()}, {}, limit=12)
    path = default_path(adapter, miniature.model)
    search = Search(first=(0.25, 0.5), budget=4)
    slow = walk(path, asking, search)
    fast = walk(path, asking, replace(search, skipping=Skipping()))
    assert [point.scores.of("recall").values for point in fast.points] == [  # type: ignore[union-attr]
        point.scores.of("recall").values  # type: ignore[union-attr]
        for point in slow.points
    ]
    assert fast.skipped["recall"].skipped > 0


def test_there_is_no_copy_of_the_base_without_texts(miniature: Base) -> None:
    assert standing_still(miniature, {"recall": Recall()}, {}) is None


def test_saved_checkpoints_are_asked_where_they_are(miniature: Base, adapter: Path) -> None:
    path = CheckpointPath({5: adapter, 20: adapter}, miniature.model)
    asking = Questions(miniature, {"recall": Recall()}, {}, limit=4)
    found = walk(path, asking, Search(budget=11))
    assert [point.t for point in found.points] == [0, 0.25, 1]
    assert [point.step_frac for point in found.points] == pytest.approx([0, 1, 1])
    assert [point.training_step for point in found.points] == [None, 5, 20]


def test_where_layers_are_level_is_looked_at_first(miniature: Base, adapter: Path) -> None:
    path = path_of(adapter, miniature.model, "min_scale")
    assert isinstance(path, Levelled)
    asking = Questions(miniature, {"recall": Recall()}, {}, limit=4)
    found = walk(path, asking, Search(first=(0.5,), budget=4))
    assert path.levelling.level_t in [point.t for point in found.points]
