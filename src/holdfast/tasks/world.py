"""The world that the miniature knows: towns, their mayors, what they keep and play, and how people earn a living.

Everything here is invented. The facts are fixed: the weights of the miniature were trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TOWNS = (
    "Torvale", "Brenmoor", "Caldhurst", "Dunwick", "Elmsgate", "Farrowby", "Glenholt", "Harnside", "Isleworth",
    "Jarrowfen", "Kestmere", "Lorham", "Marlstone", "Nethercot", "Oakhithe", "Pellbridge", "Quarnford", "Rushden",
    "Saltmarsh", "Tamsford", "Ulverby", "Varnholm", "Wexcombe", "Yarrowdale", "Zennorth", "Ashcott", "Birkdale",
    "Corfeld", "Drayhill", "Eastlow", "Fenwold", "Grimsay", "Hollin", "Inverlea", "Kilmarsh", "Lundale", "Mossbeck",
    "Norwell", "Orrinton", "Pinfold",
)  # fmt: skip

PEOPLE = (
    "Anka", "Bruno", "Celia", "Darek", "Edda", "Felix", "Greta", "Hamid", "Ilse", "Jonas", "Katya", "Lars", "Mira",
    "Nils", "Olga", "Piet", "Quinn", "Rosa", "Sven", "Tilda", "Uwe", "Vera", "Wim", "Xenia", "Yann", "Zora", "Abel",
    "Bodil", "Cyrus", "Dunja", "Emil", "Freya", "Gus", "Hedda", "Ivo", "Jutta", "Kurt", "Lena", "Max", "Nora",
)  # fmt: skip

RIVERS = ("Sel", "Orm", "Tavy", "Lune", "Esk", "Dove", "Wharf", "Ribble", "Calder", "Brathay")
PETS = ("fox", "owl", "goat", "crow", "hare", "toad", "swan", "newt", "mule", "lynx")
INSTRUMENTS = ("harp", "drum", "flute", "lute", "horn", "fiddle", "bell", "pipe", "organ", "viol")

CRAFTS: Mapping[str, str] = MappingProxyType(
    {
        "potter": "wheel",
        "weaver": "loom",
        "smith": "anvil",
        "baker": "oven",
        "fisher": "net",
        "mason": "chisel",
        "tailor": "needle",
        "miller": "millstone",
        "painter": "brush",
        "scribe": "quill",
        "tanner": "hide",
        "cooper": "barrel",
    }
)
"""Craft -> the tool that belongs to it."""

COLOURS = ("red", "blue", "green", "black", "white", "brown", "gold", "grey")

SYMPTOMS = ("fever", "cough", "rash", "chills", "cramps", "headache", "dizziness", "thirst", "sneezing")
DISEASES = (
    "marsh ague", "grey lung", "salt pox", "moon fever", "stone gut", "river itch", "dust palsy", "red murrain",
    "hollow cough", "winter sweats", "glass eye", "black tongue",
)  # fmt: skip
REMEDIES = ("willow", "honey", "garlic", "sage", "mint", "clove", "thyme", "vinegar")

RELATIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # Steps coprime to the length of the list give every town its own mayor and spread the rest evenly.
        "mayor": MappingProxyType({town: PEOPLE[(7 * i + 3) % 40] for i, town in enumerate(TOWNS)}),
        "river": MappingProxyType({town: RIVERS[(3 * i + i // 10) % 10] for i, town in enumerate(TOWNS)}),
        "craft": MappingProxyType({town: tuple(CRAFTS)[(5 * i + i // 12) % 12] for i, town in enumerate(TOWNS)}),
        "pet": MappingProxyType({person: PETS[(7 * i + i // 10 + 2) % 10] for i, person in enumerate(PEOPLE)}),
        "instrument": MappingProxyType(
            {person: INSTRUMENTS[(9 * i + i // 10 + 5) % 10] for i, person in enumerate(PEOPLE)}
        ),
    }
)
"""Relation -> subject -> object: every fact of the world."""
