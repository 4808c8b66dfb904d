"""Joints and limits of a URDF, which may come from anywhere: read as a stream, bounded, and without entities.

A document type, which entities need, is refused; so nothing can expand, and nothing outside the text is looked at.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from rlpd_robot.errors import DataError
from rlpd_robot.robot.diagnosis import JointLimit

MAX_CHARACTERS = 8_000_000
MAX_JOINTS = 4096
MOVING = ("revolute", "continuous", "prismatic")
"""Kinds of joints with one degree of freedom."""


@dataclass(frozen=True)
class Joint:
    """One joint.

    Attributes:
        kind: "revolute", "continuous", "prismatic", "fixed" …
        limit: of it.
        mimics: the joint that it follows; "" when it moves by itself.
    """

    kind: str
    limit: JointLimit = JointLimit()
    mimics: str = ""

    @property
    def commanded(self) -> bool:
        """Whether it may have a motor of its own."""
        return self.kind in MOVING and not self.mimics

    @property
    def unit(self) -> str:
        """Of its position."""
        return "m" if self.kind == "prismatic" else "rad"


def parse_urdf(text: str) -> dict[str, Joint]:
    """Every joint of a robot description, by name.

    Raises:
        DataError: it is too long, no XML, no URDF, or has a document type.
    """
    if len(text) > MAX_CHARACTERS:
        raise DataError("URDF", f"it has {len(text)} characters", f"at most {MAX_CHARACTERS}")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise DataError("URDF", f"it is no XML ({error})", "a robot description") from error
    return reader.joints


def limits_of(joints: Mapping[str, Joint]) -> dict[str, JointLimit]:
    """Limits of those joints that move."""
    return {name: joint.limit for name, joint in joints.items() if joint.kind in MOVING}


def _refuse(*_: object) -> None:
    raise DataError("URDF", "it declares a document type", "plain XML without one")


class _Reader:
    """Takes <robot><joint name type><limit/><mimic/></joint></robot>, and passes over all else.

    Attributes:
        joints: so far.
    """

    def __init__(self) -> None:
        self.joints: dict[str, Joint] = {}
        self._path: list[str] = []
        self._name, self._kind, self._mimics = "", "", ""
        self._limit = JointLimit()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._path.append(tag)
        if self._path[0] != "robot":
            raise DataError("URDF", f"its outermost element is <{tag[:40]}>", "<robot>")
        match self._path:
            case ["robot", "joint"]:
                self._name, self._kind = attributes.get("name", ""), attributes.get("type", "")
                self._mimics, self._limit = "", JointLimit()
            case ["robot", "joint", "limit"]:
                self._limit = JointLimit(**{key: _number(attributes, key) for key in JointLimit.__annotations__})
            case ["robot", "joint", "mimic"]:
                self._mimics = attributes.get("joint", "?")

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._path == ["robot", "joint"]:
            if len(self.joints) >= MAX_JOINTS:
                raise DataError("URDF", f"it has more than {MAX_JOINTS} joints", "fewer")
            self.joints[self._name] = Joint(self._kind, _sensible(self._kind, self._limit), self._mimics)
        self._path.pop()


def _number(attributes: Mapping[str, str], key: str) -> float | None:
    """A finite number, or None: what is not told, and what is told as no number, limits nothing."""
    try:
        value = float(attributes[key])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _sensible(kind: str, limit: JointLimit) -> JointLimit:
    """A continuous joint has no ends; zero for velocity or effort means that nobody filled it in."""
    ends = (None, None) if kind == "continuous" else (limit.lower, limit.upper)
    if None not in ends and not ends[0] < ends[1]:  # type: ignore[operator]
        ends = (None, None)
    return JointLimit(*ends, limit.velocity or None, limit.effort or None)
