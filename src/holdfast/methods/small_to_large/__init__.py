"""A list of tensors that was found on a small model, read at the layers of a larger one of its family."""

from holdfast.methods.small_to_large.agreement import agreement as agreement
from holdfast.methods.small_to_large.mapping import mapped as mapped
from holdfast.methods.small_to_large.mapping import sizes_of as sizes_of
