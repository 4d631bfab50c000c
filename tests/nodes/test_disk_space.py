"""When a disk that fills is spoken of, and when a recording on it has to end."""

from pathlib import Path

from photonstream.nodes.disk_space import LEAST_BYTES, DiskSpace


class Disk:
    """A disk with ``room`` bytes beyond what is kept free, filled at ``rate`` bytes a second and looked at each one."""

    def __init__(self, room, rate):
        self.room, self.rate = room, rate
        self.space = DiskSpace(Path(), lambda _: LEAST_BYTES + self.room - self.written)
        self.now = self.written = 0

    def look(self):
        self.space.look(self.now, self.written)
        self.now += 1
        self.written += self.rate
        return self.space.warning


def test_it_warns_when_less_than_ten_minutes_are_left_and_again_at_each_half():
    disk = Disk(room=1_000_000_000, rate=1_000_000)
    warned = []
    while not disk.space.full:
        warning = disk.look()
        if warning and (not warned or warning != warned[-1][1]):
            warned.append((1000 - (disk.now - 1), warning))
    left = [seconds for seconds, _ in warned]
    assert left[:4] == [599, 299, 149, 74]
    assert "room for 10 minutes more at the present rate" in warned[0][1]
    assert "room for 74 s more" in warned[3][1]
    assert disk.written <= 1_000_000_000


def test_a_disk_with_room_is_not_spoken_of():
    disk = Disk(room=10_000_000_000, rate=1_000_000)
    assert not any(disk.look() for _ in range(100))
    assert not disk.space.full


def test_where_room_is_made_the_warning_ends_and_may_come_again():
    disk = Disk(room=300_000_000, rate=1_000_000)
    disk.look()
    assert disk.look() is not None
    disk.room += 10_000_000_000
    assert disk.look() is None
    disk.room -= 10_000_000_000
    assert disk.look() is not None


def test_a_disk_that_is_full_at_the_start_is_seen_before_anything_is_written():
    disk = Disk(room=0, rate=0)
    disk.look()
    assert disk.space.full


def test_a_disk_that_cannot_be_asked_is_no_reason_to_end():
    def fails(_):
        raise OSError("no answer")

    space = DiskSpace(Path(), fails)
    space.look(0.0, 0)
    assert not space.full
    assert space.warning is None
