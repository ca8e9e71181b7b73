"""Methods on the Hugging Face Trainer; ``callback`` and ``isolating`` are the doors for anybody's own."""

from holdfast.train.hooks import callback as callback
from holdfast.train.isolating import isolating as isolating
