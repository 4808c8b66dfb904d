"""Run the steps of a Dockerfile in a clean Debian made by debootstrap, and look at what came of it. Takes root.

    python docker/check_chroot.py robot sim learner-cpu                  builds below ./chroots
    python docker/check_chroot.py --folder DIRECTORY robot               builds there
    python docker/check_chroot.py --code robot                           the code's steps alone: what a change costs

The steps are the Dockerfile's own, read from it; only FROM stands for a copy of the debootstrap. The rosbridge image is
not among them: it starts from a ROS image. Not in the test run: it downloads some hundred megabytes.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
IMAGES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "robot": ("Dockerfile.robot", {"PACKAGES": "", "EXTRAS": "ros"}),
    "sim": ("Dockerfile.robot", {"PACKAGES": "libosmesa6", "EXTRAS": "sim"}),
    "learner-cpu": ("Dockerfile.learner", {"EXTRAS": "learner"}),
    "learner": ("Dockerfile.learner", {"EXTRAS": "cuda"}),
}
"""Tag → Dockerfile and arguments, as compose.yaml has them."""

SUITE = "bookworm"
ROBOT_IMAGE_MB = 600

_DRAWS = ("python3", "-c", "from sim.render import environment_that_draws; environment_that_draws()")
_STEP_S = 3600
_PASSED_ON = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "SSL_CERT_FILE",
)
_BORROWED = {  # of this machine, while a step runs
    "/etc/resolv.conf": "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt": "/run/authorities.crt",
}
_CODE = "rlpd_robot"  # the first COPY of it begins the layers that a change of code rebuilds


@dataclass
class Image:
    """What the steps so far have made."""

    root: Path
    arguments: dict[str, str]
    env: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)


def main() -> int:
    """Build and look; 0 when all is as promised."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("images", nargs="+", choices=IMAGES)
    words.add_argument("--folder", type=Path, default=Path("chroots"))
    words.add_argument("--code", action="store_true")
    asked = words.parse_args()
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        print("check_chroot: takes root, and Debian's package debootstrap; nothing was checked", file=sys.stderr)
        return 2
    if "RLPD_ROBOT_UNSHARED" not in os.environ:  # mounts of our own, which end with us
        again = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        return subprocess.run(again, env={**os.environ, "RLPD_ROBOT_UNSHARED": "1"}, check=False).returncode
    folder = asked.folder.resolve()
    base = debootstrap(folder)
    reports = [check(tag, folder, base, asked.code) for tag in asked.images]
    print(json.dumps(reports, indent=1))
    return 0 if all(report["problems"] == [] for report in reports) else 1


def debootstrap(folder: Path) -> Path:
    """A minimal Debian, made once."""
    base = folder / SUITE
    if not (base / "etc" / "os-release").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(base, ignore_errors=True)
        run(["debootstrap", "--variant=minbase", SUITE, str(base)])
        run(["chroot", str(base), "apt-get", "clean"])  # as the published images have been
        shutil.rmtree(base / "var" / "lib" / "apt" / "lists")
    return base


def check(tag: str, folder: Path, base: Path, code_alone: bool) -> dict[str, object]:
    """Run the steps of one image, and look at it."""
    file, arguments = IMAGES[tag]
    image = Image(folder / tag / "root", {"BASE": "", **arguments})
    began = time.monotonic()
    if not code_alone:
        shutil.rmtree(image.root.parent, ignore_errors=True)
        image.root.parent.mkdir(parents=True)
        run(["cp", "--archive", str(base), str(image.root)])
    code_s = None
    in_code = False
    for step, rest in steps(REPOSITORY / "docker" / file):
        in_code = in_code or (step == "COPY" and rest.split()[0] == _CODE)
        if in_code and code_s is None:
            code_s = time.monotonic()
        apply(step, rest, image, skip=code_alone and not in_code)
    ended = time.monotonic()
    config = {"env": image.env, "workdir": image.workdir, "user": image.user, "entrypoint": image.entrypoint}
    (image.root.parent / "config.json").write_text(json.dumps(config))
    return look(tag, image, base) | {
        "all_steps_s": round(ended - began, 1),
        "code_steps_s": round(ended - (code_s or ended), 1),
    }


def look(tag: str, image: Image, base: Path) -> dict[str, object]:
    """Sizes, and whether what must work works and what must not be there is not."""
    version = inside(image, ["rlpd-robot", "--version"]).stdout.strip()
    has_jax = inside(image, ["python3", "-c", "import jax"], check=False).returncode == 0
    identity = inside(image, ["id", "-u"]).stdout.strip()
    sizes = {
        "root_mb": megabytes(image.root),
        "packages_mb": packages_mb(image.root / "opt" / "rlpd-robot" / "venv"),
        "base_mb": megabytes(base),
    }
    problems = []
    if has_jax != tag.startswith("learner"):
        problems.append(f"JAX can{'' if has_jax else 'not'} be imported")
    if identity == "0":
        problems.append("it runs as root")
    if tag == "robot" and sizes["root_mb"] > ROBOT_IMAGE_MB:
        problems.append(f"larger than {ROBOT_IMAGE_MB} MB")
    if tag == "sim" and inside(image, [*_DRAWS], check=False).returncode:
        problems.append("the stand-in cannot be drawn")
    help_text = inside(image, [*image.entrypoint, "--help"]).stdout
    if "usage: rlpd-robot VERB" not in help_text:
        problems.append(f"its entry point says {help_text[:200]!r}")
    return {"image": tag, "version": version, "uid": identity, **sizes, "problems": problems}


def steps(path: Path) -> list[tuple[str, str]]:
    """(instruction, rest) of each step."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line]


def apply(step: str, rest: str, image: Image, skip: bool) -> None:
    """One step.

    Raises:
        SystemExit: it failed, or is not known here.
    """
    if step == "RUN":
        if not skip:
            print(f"--- RUN {rest}", flush=True)
            inside(image, ["sh", "-c", rest], as_root=image.user == "0:0", show=True)
        return
    filled = fill(rest, image)
    if step == "ARG":
        name, _, default = filled.partition("=")
        image.arguments.setdefault(name, default.strip('"'))
    elif step == "ENV":
        image.env |= dict(word.split("=", 1) for word in shlex.split(filled))
    elif step == "WORKDIR":
        image.workdir = filled
        (image.root / filled.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step == "USER":
        image.user = filled
    elif step == "ENTRYPOINT":
        image.entrypoint = json.loads(rest)
    elif step == "COPY":
        copy(filled.split(), image, skip)
    elif step not in ("FROM", "CMD"):
        raise SystemExit(f"check_chroot: {step} is not known here")


def copy(words: list[str], image: Image, skip: bool) -> None:
    """COPY [--chown=U:G] SOURCE… TARGET."""
    if skip:
        return
    owner = words.pop(0).removeprefix("--chown=") if words[0].startswith("--chown=") else "0:0"
    *sources, target = words
    place = image.root / os.path.join(image.workdir, target).lstrip("/")
    for source in sources:
        path = REPOSITORY / source
        if path.is_dir():
            shutil.copytree(path, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into = place / path.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)
            place = place if target.endswith("/") else into
        run(["chown", "--recursive", owner, str(place)])


def fill(text: str, image: Image) -> str:
    """${NAME} and $NAME of arguments and environment."""
    known = image.arguments | image.env
    for name in sorted(known, key=len, reverse=True):
        text = text.replace(f"${{{name}}}", known[name]).replace(f"${name}", known[name])
    return text


def inside(
    image: Image, command: Sequence[str], check: bool = True, as_root: bool = False, show: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a command in the image, with this machine's way to the network."""
    network = {name: _BORROWED.get(os.environ[name], os.environ[name]) for name in _PASSED_ON if name in os.environ}
    environment = {**image.arguments, **image.env, **network, "HOME": "/root" if as_root else "/home/robot"}
    script = 'mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"; '
    for ours, theirs in _BORROWED.items():
        script += f'[ -e {ours} ] && touch "$1{theirs}" && mount --bind {ours} "$1{theirs}"; '
    script += 'root=$1; user=$2; directory=$3; shift 3; exec chroot --userspec="$user" "$root" env -i "$@"'
    user = "0:0" if as_root else image.user
    within = ["sh", "-c", f'cd "{image.workdir}" && exec "$@"', "sh", *command]
    values = [f"{key}={value}" for key, value in environment.items()]
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(image.root), user, image.workdir, *values, *within]
    done = subprocess.run(
        words,
        stdout=None if show else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_STEP_S,
        check=False,
    )
    if check and done.returncode:
        raise SystemExit(f"check_chroot: status {done.returncode}: {shlex.join(command)}\n{done.stdout or ''}")
    return done


def megabytes(path: Path) -> int:
    """What the files below it take on the disk [MB]."""
    done = subprocess.run(
        ["du", "--summarize", "--block-size=1000000", "--one-file-system", str(path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return int(done.stdout.split()[0])


def packages_mb(venv: Path) -> int:
    """The files of what was installed, without pip and setuptools, which a computer has [MB]."""
    [site] = (venv / "lib").glob("python3*/site-packages")
    installers = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = (path for path in site.rglob("*") if path.is_file() and not path.is_symlink())
    own = (path for path in files if not path.relative_to(site).parts[0].startswith(installers))
    return round(sum(path.stat().st_size for path in own) / 1e6)


def run(command: Sequence[str]) -> None:
    """Run a command of this machine."""
    subprocess.run(command, check=True, timeout=_STEP_S)


if __name__ == "__main__":
    sys.exit(main())
