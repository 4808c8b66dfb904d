"""What is wrong with what a robot tells of itself: pure changes of one reading, with what they remember."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import Field, RobotSpec
from sim.faults.fault import Fault, at_least, is_share, joint_names, one_of

Reading = NDArray[Any]
Values = dict[str, Reading]


@dataclass(eq=False)
class SensorFault(Fault):
    """Spoils some fields of a state.

    Attributes:
        fields: of the state; none: those that this kind of fault is about.
    """

    fields: tuple[str, ...] = ()

    def check(self, where: str, spec: RobotSpec) -> None:
        """Find the fields."""
        known = {f.name: f for f in spec.state if np.dtype(f.dtype).kind == "f"}
        self.fields = tuple(self.fields) or tuple(name for name, f in known.items() if self.concerns(f, spec))
        for name in self.fields:
            if name not in known:
                raise ConfigError(f"{where}.fields", name, f"some of the robot's readings {list(known)}")
        if not self.fields:
            raise ConfigError(f"{where}.fields", [], f"given: some of the robot's readings {list(known)}")

    def concerns(self, one: Field, spec: RobotSpec) -> bool:
        """Whether it spoils this field unless told otherwise."""
        return True

    def spoil(self, values: Values) -> None:
        """Replace the readings of one control period; the arrays given stay as they are."""
        for name in self.fields:
            values[name] = np.asarray(self.reading(name, values[name])).astype(values[name].dtype)

    def reading(self, name: str, value: Reading) -> Reading:
        """What is told instead."""
        raise NotImplementedError


@dataclass(eq=False)
class Noise(SensorFault):
    """White Gaussian noise.

    Attributes:
        std: standard deviation [unit of the field].
    """

    std: float = 0.01

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        at_least(where, "std", self.std, 0.0)

    def reading(self, name: str, value: Reading) -> Reading:
        return np.asarray(value + self.rng.normal(0.0, self.std, value.shape))


@dataclass(eq=False)
class Bias(SensorFault):
    """A wrong zero.

    Attributes:
        offset: [unit of the field].
    """

    offset: float = 0.02

    def reading(self, name: str, value: Reading) -> Reading:
        return np.asarray(value + self.offset)


@dataclass(eq=False)
class Quantised(SensorFault):
    """A coarse encoder.

    Attributes:
        step: [unit of the field].
    """

    step: float = 0.005

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        if not self.step > 0:
            raise ConfigError(f"{where}.step", self.step, "above 0")

    def reading(self, name: str, value: Reading) -> Reading:
        return np.asarray(np.round(value / self.step) * self.step)


@dataclass(eq=False)
class Dropout(SensorFault):
    """In some control periods there is no reading, and the one before is told again.

    Attributes:
        share: of the periods.
    """

    share: float = 0.2

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        is_share(where, "share", self.share)

    def begin(self, now_s: float) -> None:
        self._last: Values = {}

    def spoil(self, values: Values) -> None:
        if self._last and self.rng.random() < self.share:
            values.update(self._last)
        else:
            self._last = {name: values[name] for name in self.fields}


@dataclass(eq=False)
class Frozen(SensorFault):
    """The reading of the moment at which it begins, for ever."""

    def begin(self, now_s: float) -> None:
        self._held: Values = {}

    def reading(self, name: str, value: Reading) -> Reading:
        return self._held.setdefault(name, value)


@dataclass(eq=False)
class NotANumber(SensorFault):
    """NaN, as a driver tells that divides by zero.

    Attributes:
        elements: of each field, flat; none: all.
    """

    elements: tuple[int, ...] = ()

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        for name in self.fields:
            size = spec.state_field(name).size
            if not all(0 <= i < size for i in self.elements):
                raise ConfigError(f"{where}.elements", list(self.elements), f"below {size}, the size of '{name}'")

    def reading(self, name: str, value: Reading) -> Reading:
        told = value.copy()
        told.reshape(-1)[list(self.elements) or slice(None)] = np.nan
        return told


@dataclass(eq=False)
class WrongOrder(SensorFault):
    """The readings of joints under the names of others: each joint's comes `shift` places later.

    Attributes:
        shift: elements.
    """

    shift: int = 1

    def concerns(self, one: Field, spec: RobotSpec) -> bool:
        return one.size > 1 and _is_of_joints(one, spec)

    def reading(self, name: str, value: Reading) -> Reading:
        return np.roll(value, self.shift)


@dataclass(eq=False)
class SensorDelay(SensorFault):
    """Readings that are old when they are told, though their stamp is new.

    Attributes:
        periods: how old.
    """

    periods: int = 2

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        at_least(where, "periods", self.periods, 0)

    def begin(self, now_s: float) -> None:
        self._past: deque[Values] = deque(maxlen=self.periods + 1)

    def spoil(self, values: Values) -> None:
        self._past.append({name: values[name] for name in self.fields})
        values.update(self._past[0])


@dataclass(eq=False)
class TrackerDropout(SensorFault):
    """The object is out of sight: everything that is not a joint's reading is lost.

    Attributes:
        tells: what comes instead: "hold" the last reading, "zero", or "nan".
    """

    tells: str = "hold"

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        one_of(where, "tells", self.tells, ("hold", "zero", "nan"))

    def concerns(self, one: Field, spec: RobotSpec) -> bool:
        return not _is_of_joints(one, spec)

    def begin(self, now_s: float) -> None:
        self._held: Values = {}

    def reading(self, name: str, value: Reading) -> Reading:
        if self.tells == "hold":
            return self._held.setdefault(name, value)
        return np.full_like(value, np.nan if self.tells == "nan" else 0.0)


def _is_of_joints(one: Field, spec: RobotSpec) -> bool:
    return bool(one.labels) and set(one.labels) <= set(joint_names(spec))
