"""The page of a diagnosis is one file, needs no network, and survives what is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from plotly.offline import get_plotlyjs

from holdfast.core.diagnosis import CONTROL, UPDATE
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.heat import heat_map
from holdfast.report.diagnosis.page import diagnosis_page

SECTIONS = ["where", "profiles", "activations", "numbers", "reading", "measured"]


def without_plotly(diagnosis) -> str:
    return diagnosis_page(diagnosis).replace(get_plotlyjs(), "")


def sections(own: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', own)


def data(own: str, name: str):
    found = re.search(rf'id="{name}">(.*?)</script>', own, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def own(small) -> str:
    return without_plotly(small)


def test_plotly_is_on_the_page_exactly_once(small) -> None:
    assert diagnosis_page(small).count(get_plotlyjs()) == 1


def test_nothing_is_loaded_from_anywhere(own: str) -> None:
    assert not re.search(r"""\b(src|href|action|data)\s*=\s*["']""", own)
    assert not re.search(r"@import|url\(|https?:|//cdn", own)
    assert "default-src 'none'" in own


def test_all_sections_are_there_in_order(own: str) -> None:
    assert sections(own) == SECTIONS


def test_the_verdict_stands_before_the_first_chart(own: str) -> None:
    top = own[own.index("<body>") : own.index('id="where"')]
    assert "What lora changed in miniature" in top
    assert "moves them by 0.200 of their norm." in top
    assert "lora, lora adapter" in top
    assert "general.txt, 40 prompts, 320 tokens" in top


def test_without_prompts_the_parts_on_activations_are_absent(build) -> None:
    own = without_plotly(build(roles=()))
    assert sections(own) == [section for section in SECTIONS if section != "activations"]
    for word in ("relative drift", "Procrustes", "CKA", "Gram", "unrelated tokens", "geometry-figure"):
        assert word not in own.split("<footer>")[0]


def test_every_number_of_a_weight_is_in_the_table_with_its_interval_and_control(own: str) -> None:
    (row,) = re.findall(r'<tr data-name="model.layers.1.mlp.down_proj">.*?</tr>', own.split('id="weights"')[1])
    for text in ("64 × 96", "0.200", "random 12.0", "[0.0180, 0.0220]", "0.500", "random 1.00"):
        assert text in row


def test_undefined_numbers_are_a_dash_with_the_reason(build) -> None:
    reason = "the weight itself is zero"
    own = without_plotly(build(values={("stable_rank", "model.layers.0.mlp.down_proj"): reason}))
    assert re.search(rf'data-tip="undefined: {reason}">–</td>', own)
    cell = data(own, "layers-data")["stable_rank"]["cells"][0]
    assert cell["text"] == "–"
    assert reason in cell["tip"]


def test_the_map_has_a_cell_for_every_site_and_colours_grow_with_the_distance(build) -> None:
    values = {
        ("relative_size_frobenius", f"model.layers.{block}.mlp.down_proj"): size
        for block, size in enumerate((0.0, 0.01, 0.02))
    }
    heat = heat_map(Findings(build(values=values)))
    assert heat is not None
    (layer,) = [layer for layer in heat.layers if layer.name == "relative_size_frobenius"]
    assert [cell.text for cell in layer.cells] == ["0", "10", "20"]
    assert layer.cells[0].background == "#ffffff"
    assert layer.cells[1].background > layer.cells[2].background
    assert "numbers in units of 10⁻³" in layer.key
    assert layer.key.endswith("A random update of the same size: 0.200 in the median.")


def test_ratios_are_blue_below_one_and_brown_above(build) -> None:
    values = {
        ("drift_ratio_relative", f"model.layers.{block}.mlp.down_proj"): ratio
        for block, ratio in enumerate((0.5, 1.0, 2.0))
    }
    heat = heat_map(Findings(build(values=values)))
    assert heat is not None
    (layer,) = [layer for layer in heat.layers if layer.name == "drift_ratio_relative"]
    assert [cell.background for cell in layer.cells] == ["#689ed4", "#ffffff", "#d68248"]


def test_a_tip_tells_value_interval_control_and_shape(build) -> None:
    heat = heat_map(Findings(build()))
    assert heat is not None
    tips = {layer.name: layer.cells[0].tip for layer in heat.layers}
    assert tips["drift_relative/general"] == (
        "mlp.down_proj of block 0\nrelative drift, general 0.0200 [0.0180, 0.0220]\nrandom update of the same size "
        "0.0200\n64 outputs from 96 inputs"
    )
    assert "\nunrelated tokens 1.20\n" in tips["procrustes_residual/general"]


def test_two_stacks_of_blocks_do_not_share_cells(build) -> None:
    diagnosis = build(blocks=1)
    site = diagnosis.sites[0]
    other = site.model_copy(update={"name": "vision.blocks.0.mlp.down_proj"})
    heat = heat_map(Findings(diagnosis.model_copy(update={"sites": (site, other)})))
    assert heat is not None
    assert [(row.label, row.sites) for row in heat.rows] == [
        ("model.layers: mlp.down_proj", (0,)),
        ("vision.blocks: mlp.down_proj", (1,)),
    ]


def test_profiles_of_update_and_control_share_a_scale(own: str) -> None:
    figure = data(own, "multiples-figure")
    assert len(figure["data"]) == 6 * 4
    ranges = {tuple(axis["range"]) for name, axis in figure["layout"].items() if name.startswith("yaxis")}
    assert len(ranges) == 1
    one = data(own, "profile-data")
    assert set(one["sites"]) == {
        f"model.layers.{b}.{m}" for b in range(3) for m in ("self_attn.q_proj", "mlp.down_proj")
    } | {"lm_head"}
    assert len(one["styles"]) == 4


def test_what_is_missing_breaks_nothing(build, everything) -> None:
    bare = without_plotly(build(without=everything))
    assert sections(bare) == ["reading", "measured"]
    for quantity in sorted(everything):
        sections(without_plotly(build(blocks=1, without={quantity})))


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_zero_update_has_a_page(build, blocks: int) -> None:
    zero = "the update is zero"
    updates = {"relative_size_frobenius": 0.0, "stable_rank": zero, "entropy_rank": zero, "drift_ratio_relative": zero}
    diagnosis = build(blocks=blocks, updates=updates, controls={}, values={("relative_size_frobenius", ""): 0.0})
    still = [curve.model_copy(update={"values": (0.0,) * 12}) for curve in diagnosis.curves]
    own = without_plotly(diagnosis.model_copy(update={"curves": tuple(still)}))
    assert "changes none of them" in own
    assert "profiles" not in sections(own)


def test_names_cannot_become_part_of_the_page(build) -> None:
    odd = '</script><img src="x">'
    own = without_plotly(build(outside=(odd,)).model_copy(update={"tuned": odd}))
    assert "<img" not in own
    assert own.count("</script>") == 6


def test_two_hundred_weights_stay_small(build, seven) -> None:
    diagnosis = build(seven, 28, outside=("lm_head",), points=1536)
    own = without_plotly(diagnosis)
    assert len(own) < 4_000_000
    assert own.count("<tr data-name=") == 197 + 28
    assert len(data(own, "multiples-figure")["data"]) == 7 * 4 * 4
    drawn = data(own, "profile-data")["sites"]["lm_head"]
    assert all(len(directions) <= 130 for _, directions, _ in drawn)


def test_long_curves_keep_their_spikes(build) -> None:
    from holdfast.report.diagnosis.profiles import drawn

    values = [0.1] * 5000
    values[1234] = 3.0
    shown = drawn(values)
    assert len(shown.values) <= 130
    assert dict(zip(shown.directions, shown.values, strict=True))[1235] == 3.0
    assert (shown.directions[0], shown.directions[-1]) == (1, 5000)


def test_nothing_of_this_room_loads_torch() -> None:
    code = (
        "import sys, importlib, pkgutil, holdfast.report.diagnosis as room\n"
        "for module in pkgutil.iter_modules(room.__path__, room.__name__ + '.'): importlib.import_module(module.name)\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'matplotlib', 'plotly') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_subjects_are_told_apart(small) -> None:
    findings = Findings(small)
    assert findings.value("stable_rank", "lm_head", UPDATE) == 2.0
    assert findings.value("stable_rank", "lm_head", CONTROL) == 12.0
    assert findings.value("stable_rank", "nowhere") is None


def test_one_site_far_from_all_others_does_not_make_them_white(build) -> None:
    values = {("relative_size_frobenius", f"model.layers.{block}.mlp.down_proj"): 0.003 for block in range(30)}
    heat = heat_map(Findings(build(blocks=31, values=values)))
    assert heat is not None
    cells = heat.layers[0].cells
    assert (cells[0].text, cells[30].text) == ("3", "200")
    assert cells[0].background == cells[30].background != "#ffffff"
