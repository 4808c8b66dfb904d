"""`rlpd-robot demos lint`, and the few words that training says of the same findings."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.lint.finding import Finding, Severity
from rlpd_robot.data.lint.fix import fix_store, repairs
from rlpd_robot.data.lint.run import lint_store
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.progress import progress_bar

_SHOWN = 4  # dimensions and places of one check that are written out


def lint(path: str, out: str | None, *, as_json: bool) -> int:
    """Print what will teach badly; 1 where something cannot be trained on at all.

    Args:
        path: of the store.
        out: where to write a store in which what can be mended safely has been; None: nowhere.

    Raises:
        StoreError: the store cannot be read, or there is something at `out`.
    """
    with progress_bar("lint") as progress:
        findings = lint_store(path, progress)
    if as_json:
        print(json.dumps({"store": path, **counts(findings), "findings": [asdict(f) for f in findings]}, indent=1))
    else:
        print("\n".join(_lines(path, findings)))
    if out is not None:
        _fix(path, out, findings, as_json=as_json)
        return 0
    return 1 if any(f.severity is Severity.ERROR for f in findings) else 0


def _fix(path: str, out: str, findings: Sequence[Finding], *, as_json: bool) -> None:
    left_out, truncated = repairs(findings)
    if not left_out and not truncated:
        raise ConfigError("--fix", out, "used where a finding says that it can be mended; none does")
    with progress_bar("fix") as progress:
        episodes = fix_store(DemoStore.open(path), out, findings, progress)
    if as_json:
        return
    for what, numbers in (("left out", left_out), ("ends as a time limit now", truncated)):
        for index, name in sorted(numbers.items()):
            print(f"episode {index}: {what} ({name})")
    print(f"{out} holds {episodes} episodes; {path} stays as it is.")


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Checks that found something, by severity."""
    found = Counter(severity for severity, _ in {(f.severity, f.check) for f in findings})
    return {f"{severity}s": found[severity] for severity in Severity}


def summary(path: str, findings: Sequence[Finding]) -> list[str]:
    """What training says of them: a line for each check that warns, and where to read more; nothing of hints alone."""
    serious = [f for f in findings if f.severity is not Severity.HINT]
    if not serious:
        return []
    lines = [f"Demonstrations {path}: {_in_words(findings)}; `rlpd-robot demos lint {path}` explains them."]
    for (severity, check), group in _by_check(serious):
        more = f" (and {len(group) - 1} more dimensions)" if len(group) > 1 else ""
        lines.append(f"  {severity} {check}: {group[0].what}{more}")
    return lines


def _by_check(findings: Sequence[Finding]) -> Iterator[tuple[tuple[Severity, str], list[Finding]]]:
    for key, group in groupby(findings, key=lambda f: (f.severity, f.check)):
        yield key, list(group)


def _in_words(findings: Sequence[Finding]) -> str:
    words = [f"{n} {name if n != 1 else name[:-1]}" for name, n in counts(findings).items() if n]
    return ", ".join(words) or "nothing to remark"


def _lines(path: str, findings: Sequence[Finding]) -> Iterator[str]:
    yield f"{path}: {_in_words(findings)}"
    for (severity, check), group in _by_check(findings):
        yield f"\n{severity}  {check}"
        for finding in group[:_SHOWN]:
            yield f"    {finding.what}"
            if finding.places:
                more = len(finding.places) - _SHOWN
                places = ", ".join(map(str, finding.places[:_SHOWN]))
                yield f"      {places}" + (f" and {more} more episodes" if more > 0 else "")
        if len(group) > _SHOWN:
            rest = ", ".join(f.dimension or "" for f in group[_SHOWN:])
            yield f"    and {len(group) - _SHOWN} more: {rest}"
        yield f"  why   {group[0].why}"
        yield f"  help  {group[0].fix}" + (" `--fix OUT` does it." if group[0].fixable else "")
