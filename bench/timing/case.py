"""One batch size of the latency gate: the prompts that all arms answer, and how an arm is built."""

from dataclasses import dataclass

from PIL.Image import Image

from bench.models import Answerer, Checkpoint, arm_config, load_checkpoint
from bench.profiles import Profile
from bench.tasks import load_task
from bench.timing.arms import answer_arm, floors_of
from bench.timing.interleave import Arm
from bench.timing.roofline import Ceiling, Floor
from hybrid import Keep


@dataclass(frozen=True)
class Case:
    """The profile's first `batch` questions, answered with a fixed number of tokens."""

    profile: Profile
    checkpoint: Checkpoint
    keep: Keep
    prompts: list[str]
    images: list[Image]

    @classmethod
    def of(cls, profile: Profile, checkpoint: Checkpoint, keep: Keep, batch: int) -> "Case":
        samples = load_task(profile.data.mmbench).samples[:batch]
        prompts, images = [s.prompt for s in samples], [s.image() for s in samples]
        return cls(profile, checkpoint, keep, prompts, images)

    def arm(self, name: str) -> Arm:
        """By a name of `bench.models.ARMS`."""
        new_tokens = self.profile.latency.new_tokens
        return answer_arm(self._answerer(name), self.prompts, self.images, new_tokens)

    def floors(self, name: str, ceiling: Ceiling) -> dict[str, Floor]:
        """Stage -> the least time it could take."""
        new_tokens = self.profile.latency.new_tokens
        return floors_of(self._answerer(name), self.prompts, self.images, new_tokens, ceiling)

    def _answerer(self, name: str) -> Answerer:
        return Answerer(self.checkpoint, arm_config(name, self.profile, self.keep))


def latency_checkpoint(profile: Profile) -> Checkpoint:
    """The profile's model, such that no answer ends early: every arm does the same steps."""
    checkpoint = load_checkpoint(profile)
    checkpoint.llava.generation_config.eos_token_id = None
    return checkpoint
