"""How property tests draw their examples: the same every time, or with ``--hypothesis-profile=fuzz`` new ones."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "npf", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, print_blob=True
)
settings.register_profile("fuzz", settings.get_profile("npf"), derandomize=False, database=None)
settings.load_profile("npf")
