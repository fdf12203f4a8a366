"""What all tests share: the engines, and Hypothesis without a stopwatch."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.engines", "tests.support.chromium"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("tessera", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tessera")
