"""Cox's loss under the name evaluation scripts know it by; training has the one implementation.

It is a file of its own so that the rest of this package needs neither torch nor training.
"""

from training.survival import cox_loss

__all__ = ["cox_loss"]
