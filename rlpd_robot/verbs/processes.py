"""The processes of a run, each started alone, and those that start them."""

import sys

from rlpd_robot.verbs.words import one_thread, show, without_cfg


def train(words: list[str]) -> int:
    """Stand-in, actor and learner together, then the evaluation."""
    from rlpd_robot.config import build, load

    settings, text = load("train", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.train import train

    return train(settings, text, words, build)


def actor(words: list[str]) -> int:
    """The robot's side alone."""
    one_thread()
    from rlpd_robot.config import build, load

    settings, text = load("actor", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.actor import run_actor
    from rlpd_robot.run.stopping import stop_on_signals

    return run_actor(settings, build(settings.robot.driver), build(settings.task), stop_on_signals())


def learner(words: list[str]) -> int:
    """The learner's side alone."""
    from rlpd_robot.config import load

    settings, text = load("learner", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.learner import run_learner
    from rlpd_robot.run.stopping import stop_on_signals

    return run_learner(settings, text, stop_on_signals())


def sim(words: list[str]) -> int:
    """The stand-in alone."""
    one_thread()
    from rlpd_robot.config import build, load

    settings, text = load("sim", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.errors import ConfigError
    from rlpd_robot.run.stopping import stop_on_signals

    if settings.robot.stand_in is None:
        raise ConfigError("robot.stand_in", None, f"a recipe; robot '{settings.robot.name}' has none")
    print(f"stand-in of robot '{settings.robot.name}' at {settings.link.robot}; Ctrl-C ends it", flush=True)
    build(settings.robot.stand_in, stop=stop_on_signals())
    return 0


def eval(words: list[str]) -> int:
    """Deterministic episodes with a trained policy."""
    from rlpd_robot.config import build, load

    settings, text = load("eval", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.evaluate import run_eval

    return run_eval(settings, build)


def record(words: list[str]) -> int:
    """A person moves the robot."""
    from rlpd_robot.config import build, load

    settings, text = load("record", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.robot.teleop.terminal import restore_terminal
    from rlpd_robot.run.record import run_record
    from rlpd_robot.run.stopping import stop_on_signals

    return run_record(settings, build, stop_on_signals(restore_terminal))


def serve(words: list[str]) -> int:
    """Actions for foreign programs."""
    one_thread()
    from rlpd_robot.config import load

    settings, text = load("serve", without_cfg(words))
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.serve import run_serve
    from rlpd_robot.run.stopping import stop_on_signals

    return run_serve(settings, stop_on_signals())


def supervise(words: list[str]) -> int:
    """One of these, started again when it dies or hangs."""
    from rlpd_robot.run.supervise import VERBS, supervise

    if not words or words[0] not in VERBS:
        print(f"usage: rlpd-robot supervise {'|'.join(VERBS)} [key=value …]", file=sys.stderr)
        return 2
    from rlpd_robot.config import load

    verb, overrides = words[0], without_cfg(words[1:])
    settings, text = load(verb, overrides)
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.saying import say
    from rlpd_robot.run.stopping import stop_on_signals

    return supervise(verb, overrides, settings, stop_on_signals(kill_all), say)
