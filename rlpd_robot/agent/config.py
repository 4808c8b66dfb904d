"""Every choice of the method as one validated setting. No JAX here: a supervisor checks settings without it.

Defaults are the paper's (RLPD, arXiv:2302.02948, Table 1 and section 5) for Adroit. What the paper does not have is
listed under "beyond the paper" and is off by default and in the paper's presets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from rlpd_robot.agent.value_support import FEWEST, ValueSupport
from rlpd_robot.errors import ConfigError

Regulariser = Literal["none", "dropout", "weight_decay"]
Prior = Literal["symmetric", "seeded", "balanced"]
Critic = Literal["mlp", "simba"]
Algorithm = Literal["rlpd", "iql"]
Precision = Literal["float32", "bfloat16"]

_WHOLE_NUMBERS = (
    ("ensemble", 1),
    ("utd", 1),
    ("batch_size", 2),
    ("hidden_layers", 1),
    ("hidden_width", 1),
    ("random_steps", 0),
    ("warm_up_steps", 0),
    ("pretrain_updates", 0),
    ("ring_capacity", 1),
    ("clone_updates", 0),
    ("clone_half_life", 0),
    ("critic_warm_up", 0),
    ("value_bins", 0),
    ("chunk", 1),
    ("n_step", 1),
)

_NOT_OF_IQL = {"entropy_backup": False, "clone_weight": 0, "critic_warm_up": 0, "clone_proposals": False}
_NOT_OF_IQL |= {"conservative_weight": 0}

_RANGE = ("value_low", "value_high")

_NUMBERS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    *((key, lambda x: 0.0 <= x <= 1.0, "a number between 0 and 1") for key in ("demo_ratio", "discount", "expectile")),
    *((key, lambda x: 0.0 < x <= 1.0, "a number above 0 and at most 1") for key in ("target_rate", "actor_average")),
    ("dropout_rate", lambda x: 0.0 <= x < 1.0, "a number of at least 0 and below 1"),
    *(
        (key, lambda x: x > 0.0, "a finite number above 0")
        for key in (
            *("actor_rate", "critic_rate", "temperature_rate"),
            *("initial_temperature", "density_temperature", "reward_scale"),
        )
    ),
    *(
        (key, lambda x: x >= 0.0, "a finite number of at least 0")
        for key in ("clone_weight", "weight_decay", "advantage_scale", "conservative_weight")
    ),
    ("reward_offset", lambda x: True, "a finite number"),
    # Outside the range to which the networks clip it, the log standard deviation would have no gradient.
    ("initial_log_std", lambda x: -20.0 <= x <= 2.0, "a number between -20 and 2"),
)


@dataclass(frozen=True)
class AgentConfig:
    """Settings of the agent.

    Attributes:
        algorithm: "rlpd", or as a baseline "iql", implicit Q-learning (arXiv:2110.06169).
        expectile, advantage_scale: used by IQL: τ of its values and β [1/reward] of its policy's weights.
        ensemble: E, critics.
        target_subset: Z, critics drawn without replacement for each target; 2 is clipped double Q, 1 none.
        utd: U, critic updates per transition received.
        entropy_backup: whether targets carry the entropy bonus.
        batch_size: B, rows of one minibatch, both halves together.
        demo_ratio: share of prior data in each minibatch [0..1]; 0.5 is the paper's symmetric sampling.
        prior: "symmetric" draws `demo_ratio` of each minibatch from the demonstrations; "seeded" (SACfD) puts the
            demonstrations into the replay ring once and draws uniformly; "balanced" draws by a learned density ratio
            (Off2On, arXiv:2107.00591), whatever `demo_ratio` is.
        density_temperature: used by "balanced": T, of which the ratio's T-th root is taken.
        conservative_weight: of CQL's penalty on critics while they are pre-trained; Off2On's pessimism.
        hidden_layers, hidden_width: of actor and critics.
        layer_norm: LayerNorm after each hidden layer of the critics.
        regulariser: on the critics: "none", "dropout" (DroQ) or "weight_decay".
        dropout_rate, weight_decay: used by the regulariser of that name.
        discount: γ per control period.
        target_rate: ρ, share of the new critics in the target average per critic update.
        actor_rate, critic_rate, temperature_rate: Adam learning rates.
        target_entropy: of one action [nat]; None is the paper's −A/2.
        initial_temperature: α₀.
        random_steps: transitions with uniform random actions before the first policy is published.
        warm_up_steps: beyond the paper. Transitions after the random ones that earn no update either: the pre-trained
            policy acts, so that learning begins with data of its own (WSRL, arXiv:2412.07762).
        pretrain_updates: offline critic and actor updates on the prior data alone, before the first live transition.
        ring_capacity: live transitions kept for sampling.
        clone_updates: beyond the paper. Behaviour-cloning updates of the actor before anything else.
        clone_weight: beyond the paper. Weight of a cloning term, (sampled − demonstrated action)² averaged over the
            demonstration rows and summed over A, in the actor's loss.
        clone_half_life: beyond the paper. Live transitions after which that weight has halved; 0: never.
        critic_warm_up: beyond the paper. Live transitions during which the critics learn the value of the cloned actor
            before it follows them; over as many again, their weight in its loss rises from 0 to 1. A sudden start
            would meet Adam's small second moments and throw the actor off in a few steps.
        actor_average: beyond the paper. Share of the newest actor in the running average that is published, per
            transition; 1 publishes the actor itself. A single iterate may act badly where its neighbours do well.
        initial_log_std: beyond the paper. Added to the log standard deviation the network gives at the start.
        clone_proposals: beyond the paper. Targets take, of the actor's next action and that of the cloned actor, which
            is kept as it was, the one that the critics value higher (IBRL's bootstrap proposals, arXiv:2311.02198).
        clone_acts: beyond the paper, in studies only: the cloned actor also acts where critics value its action higher
            (IBRL's actor proposals).
        chunk: beyond the paper, in studies only: h, actions of a decision, which are played open loop and valued as one
            (Q-chunking, arXiv:2507.07969).
        n_step: beyond the paper, in studies only: transitions whose rewards a target sums before it bootstraps, at
            least `chunk`. Beyond the chunk's own they are those of whoever acted then.
        critic: beyond the paper. "mlp" is the paper's network; "simba" has normalised observations and `hidden_layers`
            residual blocks (arXiv:2410.09754).
        value_bins: beyond the paper. K, categories over which critics learn a value's distribution by cross-entropy
            (HL-Gauss, arXiv:2403.03950; 101 there); 0: one number by squared error.
        value_low, value_high: beyond the paper. Range of the categories [reward, as the learner sees it]; targets
            outside count as its nearest end. None: that of the rewards in the prior data, over 1 − γ.
        precision: beyond the paper. In what the hidden layers' products take their factors: "float32", or "bfloat16",
            whose sums, and all else, stay float32; for accelerators.
        reward_scale, reward_offset: beyond the paper, but for its AntMaze offset of −1. The learner sees
            scale · (reward + offset).

    Raises:
        ConfigError: a setting of the wrong type, not finite, out of range, or at odds with another.
    """

    algorithm: str = "rlpd"
    expectile: float = 0.7
    advantage_scale: float = 3.0
    ensemble: int = 10
    target_subset: int = 2
    utd: int = 20
    entropy_backup: bool = False
    batch_size: int = 256
    demo_ratio: float = 0.5
    prior: str = "symmetric"
    density_temperature: float = 5.0
    conservative_weight: float = 0.0
    hidden_layers: int = 3
    hidden_width: int = 256
    layer_norm: bool = True
    regulariser: str = "none"
    dropout_rate: float = 0.01
    weight_decay: float = 0.01
    discount: float = 0.99
    target_rate: float = 0.005
    actor_rate: float = 3e-4
    critic_rate: float = 3e-4
    temperature_rate: float = 3e-4
    target_entropy: float | None = None
    initial_temperature: float = 1.0
    random_steps: int = 5000
    warm_up_steps: int = 0
    pretrain_updates: int = 0
    ring_capacity: int = 1_000_000
    clone_updates: int = 0
    clone_weight: float = 0.0
    clone_half_life: int = 0
    critic_warm_up: int = 0
    actor_average: float = 1.0
    initial_log_std: float = 0.0
    clone_proposals: bool = False
    clone_acts: bool = False
    chunk: int = 1
    n_step: int = 1
    critic: str = "mlp"
    value_bins: int = 0
    value_low: float | None = None
    value_high: float | None = None
    precision: str = "float32"
    reward_scale: float = 1.0
    reward_offset: float = 0.0

    def __post_init__(self) -> None:
        for key, low in _WHOLE_NUMBERS:
            value = getattr(self, key)
            _require(_is_whole(value) and value >= low, key, value, f"a whole number of at least {low}")
        _require(
            _is_whole(self.target_subset) and 1 <= self.target_subset <= self.ensemble,
            "target_subset",
            self.target_subset,
            f"a whole number between 1 and ensemble ({self.ensemble})",
        )
        for key, holds, expected in _NUMBERS:
            value = getattr(self, key)
            _require(_is_finite(value) and holds(value), key, value, expected)
        for key, meant in (("target_entropy", "-A/2"), *((key, "as the rewards are") for key in _RANGE)):
            value = getattr(self, key)
            _require(value is None or _is_finite(value), key, value, f"a finite number, or null for {meant}")
        for key in ("entropy_backup", "layer_norm", "clone_proposals", "clone_acts"):
            _require(isinstance(getattr(self, key), bool), key, getattr(self, key), "true or false")
        _require(self.regulariser in get_args(Regulariser), "regulariser", self.regulariser, _one_of(Regulariser))
        _require(self.prior in get_args(Prior), "prior", self.prior, _one_of(Prior))
        _require(self.critic in get_args(Critic), "critic", self.critic, _one_of(Critic))
        _require(self.precision in get_args(Precision), "precision", self.precision, _one_of(Precision))
        _require(self.algorithm in get_args(Algorithm), "algorithm", self.algorithm, _one_of(Algorithm))
        self._check_critics()
        if self.algorithm == "iql":
            for key, off in _NOT_OF_IQL.items():
                value = getattr(self, key)
                _require(value == off, key, value, f"{str(off).lower()} where agent.algorithm is 'iql'")
        if self.clone_proposals:
            _require(self.clone_updates > 0, "clone_updates", self.clone_updates, "above 0 with agent.clone_proposals")
            backup = self.entropy_backup
            _require(not backup, "entropy_backup", backup, "false with agent.clone_proposals, which have no entropy")
        _require(self.clone_proposals or not self.clone_acts, "clone_acts", True, "false without agent.clone_proposals")
        rows, all_rows = round(self.batch_size * self.demo_ratio), self.batch_size
        _require(
            (rows == 0) == (self.demo_ratio == 0.0) and (rows == all_rows) == (self.demo_ratio == 1.0),
            "demo_ratio",
            self.demo_ratio,
            f"0, 1, or a share that leaves each part at least one of batch_size ({all_rows}) rows",
        )

    def _check_critics(self) -> None:
        if self.critic == "simba":
            _require(self.layer_norm, "layer_norm", self.layer_norm, "true where agent.critic is 'simba'")
            plain = self.regulariser != "dropout"
            _require(plain, "regulariser", self.regulariser, "'none' or 'weight_decay' where agent.critic is 'simba'")
        few = 0 < self.value_bins < FEWEST
        _require(not few, "value_bins", self.value_bins, f"0, or a whole number of at least {FEWEST}")
        low, high = self.value_low, self.value_high
        ordered = low is None or high is None or low < high
        _require(ordered, "value_high", high, f"above value_low ({low})")

    @property
    def support(self) -> ValueSupport | None:
        """The categories of the critics' values; None where these are plain numbers.

        Raises:
            ConfigError: their range is to be that of the rewards, which whoever has the prior data has not put in yet.
        """
        if not self.value_bins:
            return None
        low, high = self.value_low, self.value_high
        if low is None or high is None:
            key = _RANGE[0 if low is None else 1]
            raise ConfigError(f"agent.{key}", None, "a number by the time that critics are made")
        return ValueSupport(low, high, self.value_bins)

    def clone_weight_at(self, transitions: int) -> float:
        """Weight of the cloning term after so many live transitions."""
        halvings = transitions / self.clone_half_life if self.clone_half_life else 0.0
        return float(self.clone_weight * 0.5**halvings)

    def value_weight(self, transitions: int) -> float:
        """Weight of the critics in the actor's loss after so many live transitions [0..1]."""
        if not self.critic_warm_up:
            return 1.0
        return min(1.0, max(0.0, transitions / self.critic_warm_up - 1.0))

    @property
    def free_steps(self) -> int:
        """Transitions at the start that earn no update."""
        return self.random_steps + self.warm_up_steps

    @property
    def demo_rows(self) -> int:
        """Rows of each minibatch that are prior data (0 where "seeded" or "balanced" leave that to chance)."""
        return round(self.batch_size * self.demo_ratio) if self.prior == "symmetric" else 0

    @property
    def needs_demos(self) -> bool:
        """Whether any part of the method reads prior data."""
        return (
            self.prior != "symmetric"
            or self.demo_rows > 0
            or self.pretrain_updates > 0
            or self.clone_updates > 0
            or self.clone_weight > 0
        )

    def check_robot(self) -> None:
        """See that a robot's actor, which has the actor's weights alone and sends single actions, can do as these say.

        Raises:
            ConfigError: only a study, whose process has the critics too, can.
        """
        for key, off in (("clone_acts", False), ("chunk", 1), ("n_step", 1)):
            value = getattr(self, key)
            _require(value == off, key, value, f"{str(off).lower()} outside `rlpd-robot experiment` and `tune`")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, key: str, received: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"agent.{key}", received, expected)


def _one_of(choices: object) -> str:
    return "one of " + ", ".join(repr(c) for c in get_args(choices))
