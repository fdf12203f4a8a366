"""Tessera: one serverless session service.

Rooms, and the only direction in which they may import:
`wiring` → `http`, `tokens`, `stores` → `model`, `errors`.
"""
