"""What takes part in traffic: how large it is and how it moves, by the name of its class.

Sizes are rounded means of what stands on roads; they serve to tell when two footprints touch, and how many
pixels a metre is where nothing else says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from delineate.core.labels import Labels


@dataclass(frozen=True)
class Participant:
    """A kind of participant.

    Attributes:
        length: of its footprint in metres, along its heading.
        width: of its footprint in metres.
        height: in metres.
        acceleration: standard deviation of its acceleration in m/s^2.
        turning: standard deviation that its turn rate gains in a second, in rad/s.
    """

    length: float
    width: float
    height: float
    acceleration: float
    turning: float


PERSON = Participant(0.5, 0.5, 1.7, 0.8, 0.5)
CYCLE = Participant(1.8, 0.6, 1.7, 1.0, 0.3)
CAR = Participant(4.4, 1.8, 1.5, 1.5, 0.2)
LORRY = Participant(9.0, 2.5, 3.2, 1.0, 0.1)
OBJECT = Participant(1.0, 1.0, 1.7, 1.0, 0.3)

_KINDS: tuple[tuple[Participant, tuple[str, ...]], ...] = (
    (PERSON, ("person", "people", "pedestrian", "walker", "cyclist on foot", "animal", "dog")),
    (CYCLE, ("rider", "bicycle", "bike", "cyclist", "motor", "scooter", "moped", "person on vehicle")),
    (LORRY, ("truck", "lorry", "bus", "train", "tram", "trailer", "caravan")),
    (CAR, ("car", "van", "vehicle", "taxi", "auto")),
)


def participant(name: str) -> Participant:
    """The kind that a class's name tells; :data:`OBJECT` where it tells none.

    Example:
        >>> participant("Pedestrian") is PERSON, participant("motorcycle") is CYCLE
        (True, True)
    """
    plain = name.strip().lower()
    for kind, words in _KINDS:
        if plain in words:
            return kind
    for kind, words in (_KINDS[1], _KINDS[0], *_KINDS[2:]):
        if any(plain.startswith(word) or plain.endswith(word) for word in words):
            return kind
    return OBJECT


def participants(classes: Labels) -> tuple[Participant, ...]:
    """The kind of each class."""
    return tuple(participant(name) for name in classes.names)
