"""Whether a component's Cache ends the same whatever happens to its Sink: `component.survives(…)`."""

from byron.testing.survival.proof import Survival, SurvivalError

__all__ = ["Survival", "SurvivalError"]
