"""Payments: who takes them, and how a charge is made once, whatever dies in between."""
