"""Benchmarks on a whole Homeport use the same one as the tests of the main job."""

from tests.integration.main_job.conftest import homeport

__all__ = ["homeport"]
