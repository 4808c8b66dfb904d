"""docker/ as far as it can be judged without an engine: by its schema, and by what this program says of itself."""

import importlib.util
import json
import re
import sys
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from rlpd_robot.config import load
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.status_cli import StatusWords
from rlpd_robot.run.supervise import END_S
from rlpd_robot.run.supervise import VERBS as SUPERVISED
from rlpd_robot.wire.keys import public_path, secret_path
from rlpd_robot.wire.security import ENDS
from rlpd_robot.wire.settings import ADDRESSES, is_local
from sim.rosbridge.graph import Graph
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer

DOCKER = Path(__file__).parents[2] / "docker"


def script(name: str) -> Any:
    """A program of docker/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCKER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


compose_file = script("compose_file")
check_chroot = script("check_chroot")
rosbridge_check = script("rosbridge_check")
DATA = compose_file.read({})
SERVICES = compose_file.services({})
OURS = sorted(set(SERVICES) - {"rosbridge"})

LISTENS = {"sim": {"link.robot"}, "learner": {"link.data", "link.policy"}, "actor": {"link.control"}}
DIALS = {
    "sim": set(),
    "learner": set(),
    "actor": {"link.robot", "link.data", "link.policy"},
    "record": {"link.robot"},
    "dry-run": set(),
    "status": {"link.control"},
    "dashboard": set(),
}


def words_of(name: str) -> tuple[str, list[str]]:
    """(verb that does the work, its words)."""
    words = list(SERVICES[name].command)
    return (words[1], words[2:]) if words[0] == "supervise" else (words[0], words[1:])


@cache
def settings_of(name: str) -> Settings:
    """What a service's words compose to."""
    verb, words = words_of(name)
    with pytest.MonkeyPatch.context() as patch:
        if "RLPD_ROBOT_CONFIGS" in SERVICES[name].environment:
            patch.setenv("RLPD_ROBOT_CONFIGS", str(DOCKER / "configs"))
        if verb == "status":
            return load("actor", ["link=compose"] if name == "operator" else ["link.keys=/run/secrets"])[0]
        if verb == "dry-run":
            return load("dry_run", [word.replace("policy=", "dry_run.policy=") for word in words])[0]
        return load(verb, words)[0]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.devices.yaml"])
def test_the_compose_file_is_one(name: str) -> None:
    schema = files("check_jsonschema.builtin_schemas") / "vendor" / "compose-spec.json"
    data = yaml.safe_load((DOCKER / name).read_text())
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(data)


def test_the_profiles_are_there() -> None:
    profiles = {profile for service in SERVICES.values() for profile in service.profiles}
    assert profiles == {"sim", "robot", "rosbridge", "record", "dry-run", "tools"}
    assert all(service.profiles for service in SERVICES.values())  # nothing starts that was not asked for
    assert {name for name, service in SERVICES.items() if "sim" in service.profiles} == {
        *("sim", "learner", "actor", "dashboard")
    }


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_can_do_more_than_it_must(name: str) -> None:
    service = DATA["services"][name]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service.get("ports", []) == (["127.0.0.1:8420:8420"] if name == "dashboard" else [])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service.get("network_mode", "bridge") in ("host", "none", "bridge")
    if name == "dashboard":  # it alone reaches the host, and nothing of ours
        assert service["networks"] == ["view"]
        assert service["volumes"] == ["runs:/data/runs:ro"]
    elif "network_mode" not in service:
        assert service["networks"] == ["links"]
        assert DATA["networks"]["links"]["internal"] is True


def test_the_user_can_be_set() -> None:
    data = compose_file.read({"RLPD_UID": "1234", "RLPD_GID": "5678"})
    for service in data["services"].values():
        assert service["user"] == "1234:5678"
        assert (service["build"]["args"]["UID"], service["build"]["args"]["GID"]) == ("1234", "5678")


@pytest.mark.parametrize("name", [name for name in OURS if name != "keys"])
def test_the_words_of_a_service_make_settings(name: str) -> None:
    verb, words = words_of(name)
    settings = settings_of(name)
    assert verb in DIALS
    if DATA["services"][name].get("network_mode") == "host":
        reached = [getattr(settings.link, key) for key in ADDRESSES]
        assert all(map(is_local, reached)), reached
    elif "link=compose" in words:  # whoever listens does so in its container's network; everybody else dials by name
        for key in LISTENS.get(verb, ()):
            assert getattr(settings.link, key.removeprefix("link.")).startswith("tcp://*:")
        for key in DIALS[verb]:
            host = getattr(settings.link, key.removeprefix("link.")).removeprefix("tcp://").partition(":")[0]
            assert host in SERVICES
            assert key in LISTENS[host]
    else:  # alone with itself
        assert DATA["services"][name].get("network_mode") == "none" or verb in ("status", "dashboard")
    if verb in SUPERVISED:
        assert SERVICES[name].restarts


@pytest.mark.parametrize("name", [name for name in OURS if name != "keys"])
def test_a_service_is_given_the_keys_of_its_links_and_no_others(name: str) -> None:
    verb, _ = words_of(name)
    keys = settings_of(name).link.keys
    assert keys == (None if verb in ("dry-run", "dashboard") else "/run/secrets")
    wanted = set()
    for key in LISTENS.get(verb, ()):
        own, other = ENDS[key]
        wanted |= {secret_path(Path(), own).name, public_path(Path(), other).name}
    for key in DIALS[verb]:
        other, own = ENDS[key]
        wanted |= {secret_path(Path(), own).name, public_path(Path(), other).name}
    assert set(SERVICES[name].secrets) == wanted
    assert wanted <= set(DATA["secrets"])


@pytest.mark.parametrize("name", OURS)
def test_what_runs_on_is_checked_for_the_work_that_it_does(name: str) -> None:
    service = SERVICES[name]
    verb, _ = words_of(name)
    if verb == "dashboard":
        assert service.health == ("rlpd-robot", "dashboard", "--check")
        return
    if verb not in SUPERVISED:
        assert not service.health
        return
    assert service.health[:2] == ("rlpd-robot", "status")
    asked = StatusWords.of(service.health[2:])
    assert asked is not None
    assert asked.check == verb
    assert asked.run == settings_of(name).run.directory  # both are below /data
    assert DATA["services"][name]["restart"] == "unless-stopped"
    assert service.grace_s > END_S


def test_in_front_of_a_real_robot_a_person_arms_first() -> None:
    settings = settings_of("robot-actor")
    assert settings.robot.stand_in is None
    assert settings.actor.armed_at_start is False
    assert settings.actor.realtime_priority <= DATA["services"]["robot-actor"]["ulimits"]["rtprio"]


def test_a_person_moves_the_robot_by_its_own_keys() -> None:
    """`record` would take those of the door, whatever an experiment says."""
    teleop = settings_of("robot-record").teleop
    assert teleop is not None
    assert teleop == yaml.safe_load((DOCKER / "configs" / "teleop" / "my_keys.yaml").read_text())


def test_demonstrations_by_hand_are_slow_motion() -> None:
    """Only a stand-in that waits for each command can be slowed down."""
    record, stand_in = settings_of("record"), settings_of("record-sim")
    assert record.record.pace < 1
    assert stand_in.robot.stand_in["lockstep"] is True
    assert record.link.robot == stand_in.link.robot
    assert record.link.robot != settings_of("robot-record").link.robot  # both may be there at once


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_run_by_a_check(name: str) -> None:
    """`make docker-test`, as processes; of rosbridge, which is ROS's own program, the health check is."""
    courses = "".join(path.read_text() for path in (*DOCKER.glob("course_*.py"), DOCKER / "processes.py"))
    asked = "rosbridge_check.py" if name == "rosbridge" else name
    assert f'"{asked}"' in courses


@pytest.mark.parametrize("robot", ["zmq", "rosbridge"])
def test_the_robots_of_the_check_are_chosen_as_a_user_would(robot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(DOCKER / "check_robot" / robot))
    settings = load("actor", ["experiment=my_robot"])[0]
    assert settings.robot.stand_in is None  # so that a person arms, and the limits are complete
    assert settings.task["name"] == "joint_target"


def test_rosbridge_is_well_where_it_answers_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for services, status, said in ((Rosapi, 0, "rosbridge: well: {"), (id, 1, "rosbridge: NOT WELL: ws://127.0.0.1:")):
        graph = Graph(2)
        services(graph)
        server = RosbridgeServer(graph, "tcp://127.0.0.1:0")
        monkeypatch.setenv("ROSBRIDGE_PORT", server.url.rpartition(":")[2])
        try:
            assert rosbridge_check.main() == status
        finally:
            server.close()
        assert capsys.readouterr().out.startswith(said)
    assert rosbridge_check.main() == 1  # nobody is there any more
    assert "ConnectionRefusedError" in capsys.readouterr().out


def test_runs_demonstrations_and_caches_outlive_containers() -> None:
    assert set(DATA["volumes"]) == {"runs", "demos", "cache"}
    for name in ("sim", "learner", "actor", "robot-learner", "robot-actor", "record-sim", "record", "robot-record"):
        assert "runs:/data/runs" in DATA["services"][name]["volumes"]


@pytest.mark.parametrize("file", ["Dockerfile.robot", "Dockerfile.learner"])
def test_a_change_of_code_rebuilds_the_last_layers_alone(file: str) -> None:
    steps = check_chroot.steps(DOCKER / file)
    copied = [i for i, (step, rest) in enumerate(steps) if step == "COPY" and rest.split()[0] in ("rlpd_robot", "sim")]
    heavy = [i for i, (_, rest) in enumerate(steps) if "apt-get" in rest or "--constraint" in rest]
    assert copied
    assert heavy
    assert max(heavy) < min(copied)
    for step, rest in steps:
        if step == "COPY":
            assert all((DOCKER.parent / source).exists() for source in rest.split()[:-1] if not source.startswith("--"))
    assert steps[0] == ("ARG", "BASE=debian:bookworm-slim")
    assert ("USER", "${UID}:${GID}") in steps
    assert ("ENTRYPOINT", json.dumps(list(compose_file.ENTRYPOINT))) in steps


def test_the_steps_are_tried_with_the_arguments_of_compose() -> None:
    for service in DATA["services"].values():
        file, arguments = check_chroot.IMAGES.get(service["image"].rpartition(":")[2], (None, None))
        if file is not None:
            asked = {key: value for key, value in service["build"]["args"].items() if key not in ("BASE", "UID", "GID")}
            assert (f"docker/{file}", arguments) == (service["build"]["dockerfile"], asked)


def test_devices_are_let_in_one_by_one() -> None:
    """What the rules of udev name is what the containers may open, and the group may read it without being root."""
    rules = (DOCKER / "udev" / "70-rlpd-robot.rules").read_text()
    lines = [line for line in rules.splitlines() if line and not line.startswith("#")]
    assert all('GROUP="robot"' in line or "SYMLINK" in line for line in lines)
    assert 'MODE="0666"' not in rules
    data = compose_file.read({}, DOCKER / "compose.devices.yaml")
    kinds = {"input": "c 13:*", "hidraw": "c 240:*", "video4linux": "c 81:*", "tty": "c 188:*"}
    assert {kind for kind in kinds if f'SUBSYSTEM=="{kind}"' in rules} == set(kinds)
    for service in data["services"].values():
        allowed = service["device_cgroup_rules"]
        assert "privileged" not in service
        assert not [rule for rule in allowed if rule.startswith(("a ", "c *"))]
        assert all(any(rule.startswith(number) for rule in allowed) for number in kinds.values())
        assert next(rule for rule in allowed if rule.startswith("c 13:")) == "c 13:* r"  # nobody types into it
    assert set(data["services"]) <= set(SERVICES)


def test_a_dry_run_can_draw_its_sheet() -> None:
    """It would tell that it cannot when all else is done."""
    extra = DATA["services"]["dry-run"]["build"]["args"]["EXTRAS"]
    project = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("matplotlib") for need in project["optional-dependencies"][extra])


def test_what_is_copied_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (DOCKER.parent / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for file in ("Dockerfile.robot", "Dockerfile.learner", "Dockerfile.rosbridge"):
        for step, rest in check_chroot.steps(DOCKER / file):
            if step == "COPY":
                assert {word for word in rest.split()[:-1] if not word.startswith("--")} <= let_in


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("a=${A:-b}", {}, "a=b"),
        ("a=${A:-b}", {"A": "c"}, "a=c"),
        ("a=${A:-b}", {"A": ""}, "a=b"),
        ("${A}/${B:-}", {"A": "x"}, "x/"),
        ("$$HOME", {}, "$HOME"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, environment: dict[str, str], expected: str) -> None:
    assert compose_file._fill(text, environment) == expected


def test_units_ask_for_what_compose_asks_for() -> None:
    unit = (DOCKER / "systemd" / "rlpd-robot@.service").read_text()
    values = dict(re.findall(r"^([A-Za-z]+)=(.*)$", unit, re.MULTILINE))
    assert values["ExecStart"].endswith("/rlpd-robot supervise %i $WORDS")
    assert float(values["TimeoutStopSec"]) > END_S
    assert int(values["LimitRTPRIO"]) >= 20
    assert (values["NoNewPrivileges"], values["Restart"]) == ("yes", "always")


def test_the_commands_of_the_document_name_what_there_is() -> None:
    text = (DOCKER.parent / "docs" / "workstation.md").read_text()
    lines = [line.split() for line in re.findall(r"^docker compose .*$", text, re.MULTILINE)]
    assert len(lines) > 8
    profiles = {profile for service in SERVICES.values() for profile in service.profiles}
    asked_for: set[tuple[str, ...]] = set()
    for words in lines:
        assert {words[i + 1] for i, word in enumerate(words) if word == "--profile"} <= profiles
        if "run" in words:
            name, *asked = words[words.index("--rm") + 1 :]
            assert name in SERVICES
            assert not asked or name.endswith("operator")
            settings = [word for word in asked if "=" in word and not word.startswith("-")]
            asked_for |= {tuple(settings)} if settings else set()
        if "logs" in words:
            assert words[-1] in SERVICES
    assert {load("actor", settings)[0].link.keys for settings in asked_for} == {"/run/secrets"}
