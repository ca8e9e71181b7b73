"""Tasks that are learned one group after the other, each group's core held while later ones train."""
