"""Tessera: one serverless session service.

Rooms, and the only direction in which they may import:
`http`, `entry` → `container` → `wiring` → `archive`, `payments`, `realtime`, … → `stores`, `tokens` → `model`,
`errors`.

Functions import from here before anything else: while Lambda initialises a container, garbage is not collected.
What imports make is there to stay, and to look for garbage in it is 7 % of a cold start. `container.Container`,
which every function has, ends that.
"""

import gc
import sys

if "awslambdaric" in sys.modules:
    gc.disable()
