"""Methods on the Hugging Face Trainer; ``callback``, ``isolating`` and ``widen`` are the doors for anybody's own."""

from holdfast.train.hooks import callback as callback
from holdfast.train.isolating import isolating as isolating
from holdfast.train.widening import widen as widen
from holdfast.train.widening import widening as widening
