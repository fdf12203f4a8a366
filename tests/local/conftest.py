"""The deployed stack, shared by parallel workers."""

from tests.support.engines import stack

__all__ = ["stack"]
