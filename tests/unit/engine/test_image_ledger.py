"""What the agent remembers of the images that it pulled."""

from agent.engine.image_ledger import ImageLedger, PulledImage
from tests.support.clock import FakeClock


class Disk:
    """Images as they are kept over restarts."""

    def __init__(self) -> None:
        self.images: dict[str, PulledImage] = {}

    def ledger(self, clock: FakeClock) -> ImageLedger:
        """The ledger of an agent that starts."""
        return ImageLedger(
            tuple(self.images.values()),
            clock,
            lambda image: self.images.update({image.image_id: image}),
            lambda image_id: self.images.pop(image_id),
        )


def test_an_image_that_was_there_before_is_not_ours() -> None:
    ledger = Disk().ledger(FakeClock())
    ledger.pulled("web", "sha256:1", was_there=True)
    ledger.pulled("app", "sha256:2", was_there=False)

    assert [age.image.image_id for age in ledger.ages()] == ["sha256:2"]
    assert ledger.has_pulled("web")


def test_ours_stays_ours_when_it_is_pulled_again() -> None:
    ledger = Disk().ledger(FakeClock())
    ledger.pulled("web", "sha256:1", was_there=False)
    ledger.pulled("web", "sha256:1", was_there=True)

    assert len(ledger.ages()) == 1


def test_ages_go_on_over_a_restart_and_a_jump_of_the_wall_clock() -> None:
    clock, disk = FakeClock(), Disk()
    ledger = disk.ledger(clock)
    ledger.pulled("web", "sha256:1", was_there=False)
    clock.advance(100)
    ledger.used(["sha256:1"])
    clock.advance(10)
    restarted = disk.ledger(clock)
    clock.jump_wall(1_000_000)

    (age,) = restarted.ages()
    assert (age.since_pulled, age.since_used) == (110, 10)
    (age,) = ledger.ages()
    assert (age.since_pulled, age.since_used) == (110, 10)


def test_a_name_that_moved_leaves_the_older_image_without_it() -> None:
    disk = Disk()
    ledger = disk.ledger(FakeClock())
    ledger.pulled("web", "sha256:1", was_there=False)
    ledger.pulled("web", "sha256:2", was_there=False)

    assert {image.image_id: image.names for image in disk.images.values()} == {
        "sha256:1": (),
        "sha256:2": ("web",),
    }


def test_what_is_gone_is_forgotten() -> None:
    disk = Disk()
    ledger = disk.ledger(FakeClock())
    ledger.pulled("web", "sha256:1", was_there=False)
    ledger.remove("sha256:1")
    ledger.remove("sha256:unknown")

    assert disk.images == {}
    assert not ledger.has_pulled("web")
