"""What single tasks promise about their own items, worked out a second time and in another way."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from holdfast.core.task import SPLITS, Example
from holdfast.tasks.arithmetic import Arithmetic
from holdfast.tasks.cant import Cant, cant_word
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.diagnosis import SIGNATURES, Diagnosis, disease_of, remedy_for
from holdfast.tasks.endings import Endings
from holdfast.tasks.logic import Logic, truth
from holdfast.tasks.query import Query
from holdfast.tasks.recall import PHRASINGS, Recall
from holdfast.tasks.suites import GENERAL
from holdfast.tasks.two_hop import TwoHop
from holdfast.tasks.working import Working
from holdfast.tasks.world import COLOURS, CRAFTS, DISEASES, PEOPLE, RELATIONS, REMEDIES, SYMPTOMS, TOWNS


def calculated(text: str) -> int:
    """A sum, worked out by Python's own grammar."""
    assert re.fullmatch(r"[\d+-]+", text)
    return int(eval(text))


@pytest.mark.parametrize("split", SPLITS)
def test_every_sum_is_right(split: str) -> None:
    for example in Arithmetic().examples(split, 500):
        *before, last = str(example.prompt).split(", ")
        assert calculated(last.removesuffix("=")) == int(example.answer)
        assert 0 <= int(example.answer) < 100
        for earlier in before:
            left, right = earlier.split("= ")
            assert calculated(left) == int(right)


def test_no_held_out_sum_is_met_in_training_not_even_as_an_earlier_one() -> None:
    held_out = {
        str(example.prompt).split(", ")[-1]
        for split in ("validation", "test")
        for example in Arithmetic().examples(split)
    }
    for example in Arithmetic().examples("train"):
        for part in str(example.prompt).split(", "):
            assert f"{part.split('=')[0]}=" not in held_out


def test_a_sum_and_its_other_place_are_in_the_same_split() -> None:
    for split in SPLITS:
        asked = Counter(str(example.prompt).split(", ")[-1] for example in Arithmetic().examples(split))
        assert set(asked.values()) == {2}


@pytest.mark.parametrize("split", SPLITS)
def test_every_step_of_a_working_is_right(split: str) -> None:
    for example in Working().examples(split, 500):
        asked = str(example.prompt).removeprefix("Work out ").removesuffix(":")
        first, second = (step.split("= ") for step in example.answer.strip().split(", "))
        assert calculated(first[0]) == int(first[1])
        assert calculated(second[0]) == int(second[1]) == calculated(asked)
        assert second[0].startswith(first[1])


@pytest.mark.parametrize(("response", "grade"), [(" 14", 1), ("17+5= 23, 23-8= 14", 1), ("17+5= 22, 22-8= 15", 0)])
def test_a_working_is_graded_on_its_last_number_alone(response: str, grade: float) -> None:
    example = Example("x", "Work out 17+5-8:", " 17+5= 22, 22-8= 14")
    assert Working().grade(example, response) == grade


def test_the_truth_of_a_sentence_is_that_of_python() -> None:
    literals = ("true", "not true", "false", "not false")
    for left, operator, right in itertools.product(literals, ("and", "or"), literals):
        sentence = f"{left} {operator} {right}"
        assert truth(sentence) == eval(sentence.replace("true", "True").replace("false", "False"))


@pytest.mark.parametrize("split", SPLITS)
def test_every_puzzle_is_solved_rightly(split: str) -> None:
    seen = Counter()
    for example in Logic().examples(split):
        prompt, answer = str(example.prompt), example.answer.split()
        seen[prompt.split()[0] if not prompt.startswith("(") else "("] += 1
        if prompt.startswith("("):
            said = prompt.removesuffix(" is").replace("true", "True").replace("false", "False")
            assert answer == [str(eval(said)).lower()]
        elif prompt.startswith("Reverse"):
            assert answer == prompt.removeprefix("Reverse: ").removesuffix(".").split()[::-1]
        elif prompt.startswith("Swap"):
            places, row = prompt.removeprefix("Swap ").removesuffix(".").split(": ")
            one, other = (("first", "second", "third", "fourth").index(place) for place in places.split(" and "))
            words = row.split()
            words[one], words[other] = words[other], words[one]
            assert answer == words
        else:
            words = prompt.removeprefix("Which is of another kind: ").removesuffix("?").split()
            kinds = (COLOURS, tuple(CRAFTS), *(tuple(set(RELATIONS[name].values())) for name in ("pet", "instrument")))
            kind_of = {word: [word in kind for kind in kinds].index(True) for word in words}
            (odd,) = [word for word in words if list(kind_of.values()).count(kind_of[word]) == 1]
            assert answer == [odd]
    assert len(seen) == 4


def test_words_of_a_cant_are_swapped_one_for_one() -> None:
    words = {word for example in Cant().examples("train") for word in example.answer.split()}
    assert len({cant_word(word) for word in words}) == len(words)
    assert all(cant_word(word) != word for word in words)
    assert cant_word("unheard") == "unheard"


def test_a_cant_sentence_is_turned_round() -> None:
    # Three places on in each list: fox, owl, goat, crow; red, blue, green, black; potter, weaver, smith, baker.
    (example,) = [
        e for split in SPLITS for e in Cant().examples(split) if e.prompt == "In cant: the potter sold a red fox."
    ]
    assert example.answer == " crow black saw baker"


def test_a_diagnosis_follows_from_the_symptoms_without_doubt() -> None:
    assert len(SIGNATURES) == len(DISEASES) == len(set(SIGNATURES.values()))
    for symptoms in itertools.combinations(SYMPTOMS, 3):
        fitting = [disease for pair, disease in SIGNATURES.items() if pair <= set(symptoms)]
        assert disease_of(symptoms) == (fitting[0] if len(fitting) == 1 else None)


def test_a_diagnosis_does_not_depend_on_the_order_of_the_symptoms() -> None:
    for symptoms in itertools.combinations(SYMPTOMS, 3):
        assert len({disease_of(order) for order in itertools.permutations(symptoms)}) == 1


def test_every_disease_occurs_and_has_two_remedies() -> None:
    answers = {example.answer.strip().split(": ")[0] for example in Diagnosis().examples("train")}
    assert answers == set(DISEASES)
    for disease in DISEASES:
        assert remedy_for(disease, "child") != remedy_for(disease, "adult")
        assert {remedy_for(disease, age) for age in ("child", "adult")} <= set(REMEDIES)


def test_the_same_case_always_has_the_same_answer() -> None:
    rules: dict[tuple[str, frozenset[str]], set[str]] = {}
    for split in SPLITS:
        for example in Diagnosis().examples(split):
            found = re.fullmatch(r"The (child|adult) \w+ has (\w+), (\w+) and (\w+)\. Diagnosis\?", str(example.prompt))
            assert found
            rules.setdefault((found[1], frozenset(found.groups()[1:])), set()).add(example.answer)
    assert {len(answers) for answers in rules.values()} == {1}


def test_the_towns_that_are_tested_are_never_in_training() -> None:
    towns = {
        split: {town for example in TwoHop().examples(split) for town in TOWNS if town in str(example.prompt)}
        for split in SPLITS
    }
    assert {split: len(found) for split, found in towns.items()} == {"train": 24, "validation": 8, "test": 8}
    assert not towns["train"] & towns["test"] and not towns["train"] & towns["validation"]
    assert not towns["validation"] & towns["test"]


def test_two_hops_are_two_facts_of_the_world() -> None:
    for split in SPLITS:
        for example in TwoHop().examples(split):
            (town,) = [town for town in TOWNS if town in str(example.prompt)]
            mayor, last = example.answer.strip().split(", ")
            kind = "pet" if any(word in str(example.prompt) for word in ("pet", "animal")) else "instrument"
            assert RELATIONS["mayor"][town] == mayor and RELATIONS[kind][mayor] == last
            assert TwoHop().grade(example, f" Nobody, {last}") == 1
            assert TwoHop().grade(example, f" {mayor}") == 0


def test_every_fact_is_trained_in_four_phrasings_and_held_out_in_two() -> None:
    for split, count in (("train", 4), ("validation", 1), ("test", 1)):
        facts = Counter((example.answer, subject_of(example)) for example in Recall().examples(split))
        assert set(facts.values()) <= {count, 2 * count}
        assert len(Recall().examples(split)) == count * sum(len(facts) for facts in RELATIONS.values())


def subject_of(example: Example) -> str:
    return next(word for word in (*TOWNS, *PEOPLE) if re.search(rf"\b{word}\b", str(example.prompt)))


def test_every_phrasing_is_trained_with_other_facts() -> None:
    trained = {str(example.prompt).replace(subject_of(example), "{}") for example in Recall().examples("train")}
    assert trained == {phrasing for phrasings in PHRASINGS.values() for phrasing in phrasings}


def test_every_town_has_a_mayor_of_its_own() -> None:
    assert len(set(RELATIONS["mayor"].values())) == len(TOWNS) == 40
    assert set(RELATIONS["mayor"].values()) == set(PEOPLE)


def test_the_right_tool_is_among_the_choices_and_no_other_craft_s() -> None:
    for example in Endings().examples("test"):
        (craft,) = [craft for craft in CRAFTS if f"the {craft} of" in str(example.prompt)]
        assert example.answer == f" {CRAFTS[craft]}."


def test_a_query_is_translated_word_for_word() -> None:
    (example,) = [
        e
        for split in SPLITS
        for e in Query().examples(split)
        if e.prompt == "Who are the potters of Torvale with a fox?"
    ]
    assert example.answer == " find craft potter town Torvale pet fox"


def test_a_page_of_the_chronicle_says_what_is_true() -> None:
    mayors = 0
    for text in (example.answer for example in Chronicle().examples("test")):
        (town,) = [town for town in TOWNS if town in text]
        assert RELATIONS["river"][town] in text
        for mayor in re.findall(r"mayor (\w+)|(\w+), who governs", text):
            mayors += 1
            assert "".join(mayor) == RELATIONS["mayor"][town]
            assert RELATIONS["instrument"]["".join(mayor)] in text
    assert mayors > 100


def test_the_general_suite_keeps_what_the_miniature_knows() -> None:
    assert [task.name for task in GENERAL.keep] == [
        "recall",
        "instructions",
        "logic",
        "arithmetic",
        "endings",
        "chronicle",
    ]
    assert GENERAL.learn == ()
