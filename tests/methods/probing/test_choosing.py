"""The top of a ranking, exactly as much of it as the budget allows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import RecipeError
from holdfast.methods.probing.choosing import Extent, chosen


def scores(values: list[int]) -> dict[str, torch.Tensor]:
    return {f"t{at}": torch.tensor(float(value), dtype=torch.float64) for at, value in enumerate(values)}


def taken(flags: dict[str, torch.Tensor]) -> list[int]:
    return [at for at, flag in enumerate(flags.values()) if bool(flag)]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=15), st.sampled_from([0.5, 0.75, 1.0]))
def test_by_tensors_it_is_the_top_of_a_sorted_list(values: list[int], ratio: float) -> None:
    extents = {f"t{at}": Extent(1, 3) for at in range(len(values))}
    order = sorted(range(len(values)), key=lambda at: -values[at])
    assert taken(chosen(scores(values), extents, ratio, "tensors", who="m")) == sorted(
        order[: int(ratio * len(values))]
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=12))
def test_by_params_each_that_still_fits_is_taken(pairs: list[tuple[int, int]]) -> None:
    extents = {f"t{at}": Extent(1, size) for at, (_, size) in enumerate(pairs)}
    left = sum(size for _, size in pairs) // 2
    wanted = []
    for at in sorted(range(len(pairs)), key=lambda at: -pairs[at][0]):
        if pairs[at][1] <= left:
            wanted.append(at)
            left -= pairs[at][1]
    values = scores([value for value, _ in pairs])
    if not wanted:
        with pytest.raises(RecipeError, match="selects nothing"):
            chosen(values, extents, 0.5, "params", who="m")
    else:
        assert taken(chosen(values, extents, 0.5, "params", who="m")) == sorted(wanted)


def test_rows_and_scalars_reach_the_budget_exactly() -> None:
    rows = {"a": torch.rand(6), "b": torch.rand(4)}
    flags = chosen(rows, {"a": Extent(6, 5), "b": Extent(4, 5)}, 0.3, "params", who="m")
    assert sum(int(each.sum()) for each in flags.values()) == 3
    cut = torch.cat(list(rows.values())).sort(descending=True).values[2]
    assert all(torch.equal(flags[name], rows[name] >= cut) for name in rows)
    scalars = {"a": torch.rand(7, 3)}
    assert int(chosen(scalars, {"a": Extent(21, 1)}, 0.2, "params", who="m")["a"].sum()) == 4


def test_what_is_owned_is_passed_over_and_the_budget_filled_from_the_rest() -> None:
    values, extents = scores([9, 8, 7, 6]), {f"t{at}": Extent(1, 1) for at in range(4)}
    owned = {name: torch.tensor(name in ("t0", "t2")) for name in values}
    assert taken(chosen(values, extents, 0.5, "tensors", owned, who="m")) == [1, 3]
    with pytest.raises(
        RecipeError,
        match=r"m: eligible units have run out: earlier tasks own 2 of 4, and the budget asks for 3; give a lower "
        r"ratio, or overlap='damp' or 'allow'",
    ):
        chosen(values, extents, 0.75, "tensors", owned, who="m")
    with pytest.raises(RecipeError, match=r"eligible scalars have run out: earlier tasks own 2 of 4"):
        chosen(values, extents, 0.75, "params", owned, who="m")


def test_a_tensor_without_a_score_is_no_candidate_and_counts_in_the_budget() -> None:
    extents = {f"t{at}": Extent(1, 1) for at in range(4)}
    values = {name: score for name, score in scores([9, 8, 7, 6]).items() if name != "t0"}
    assert list(chosen(values, extents, 0.5, "tensors", who="m").values())[:2] == [True, True]
    with pytest.raises(RecipeError, match=r"m: 3 of 4 eligible units have a score, and the budget asks for 4"):
        chosen(values, extents, 1.0, "tensors", who="m")


def test_a_budget_that_selects_nothing_is_told() -> None:
    extents = {f"t{at}": Extent(1, 50) for at in range(4)}
    with pytest.raises(RecipeError, match=r"m: ratio=0\.1 of 4 eligible units selects nothing; give a higher ratio"):
        chosen(scores([1, 2, 3, 4]), extents, 0.1, "tensors", who="m")
    with pytest.raises(RecipeError, match=r"of 200 eligible scalars selects nothing; the smallest of them has 50"):
        chosen(scores([1, 2, 3, 4]), extents, 0.1, "params", who="m")
