"""What a look at a running robot brings, from which a first robot file is written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JointTopic:
    """One topic with joint states.

    Attributes:
        topic: its name.
        names: of the joints in its messages, in their order.
        position: joint → where it stands [rad, m].
        has_velocity, has_effort: whether messages bring these too.
        rate_hz: messages a second; 0: too few came to tell.
    """

    topic: str
    names: tuple[str, ...]
    position: dict[str, float]
    has_velocity: bool
    has_effort: bool
    rate_hz: float


@dataclass(frozen=True)
class Controller:
    """One controller of controller_manager.

    Attributes:
        name: of it.
        running: whether it is.
        joints: that it commands; empty where nobody says.
    """

    name: str
    running: bool
    joints: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """One robot behind ROS.

    Attributes:
        ros: 1 or 2.
        states: topics with joint states.
        commands: (topic, type) of those that take commands, the likeliest first.
        controllers: those there are.
        urdf: the robot's description; "" for none.
    """

    ros: int
    states: tuple[JointTopic, ...]
    commands: tuple[tuple[str, str], ...]
    controllers: tuple[Controller, ...]
    urdf: str
