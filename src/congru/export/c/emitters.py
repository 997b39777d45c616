"""The emitters of C, as the files beside this one fill them in.

They write single steps: a network that cannot run step by step is refused whole.
"""

from __future__ import annotations

from congru.export.emitters import Emitters

C = Emitters("C")
