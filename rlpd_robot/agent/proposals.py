"""Which of several proposed actions the critics value most: imitation bootstrapped reinforcement learning.

Source: Hu, Mirchandani and Sadigh 2023, "Imitation bootstrapped reinforcement learning", arXiv:2311.02198, section 4.1.
Its bootstrap proposals are in `losses.target_values`; this is what its actor proposals need. The authors take the
smaller of two target critics drawn at random; here it is the smallest of all, so that an action on which critics
disagree has to be better by more, and acting draws nothing at random.
"""

from functools import partial

import jax
import jax.numpy as jnp

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import Params, evaluate


@partial(jax.jit, static_argnums=0)
def least_values(config: AgentConfig, critics: Params, observation: jax.Array, actions: jax.Array) -> jax.Array:
    """(P,) the smallest value that any of E critics gives each of P actions (P, A) in one observation (O,)."""
    seen = jnp.broadcast_to(observation, (actions.shape[0], observation.shape[-1]))
    return jnp.min(evaluate(config, critics, seen, actions, jax.random.key(0)), axis=0)
