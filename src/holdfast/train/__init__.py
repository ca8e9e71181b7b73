"""Methods on the Hugging Face Trainer; ``callback`` is the door for anybody's own."""

from holdfast.train.hooks import callback as callback
