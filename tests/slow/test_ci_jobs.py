"""The jobs of docs/frameworks.md, run: their shell lines, as the CI system would run them."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from testing.support import Checkout, Done, Following, new_repository, with_variables
from testing.tools import documented

DATABASE = "shared/state.db"
CHECK = "sh ./check.sh"
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_REF_NAME": "main",
    "RUNNER_NAME": "one",
}
GITLAB = {"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "main"}


class Pipeline:
    """A pipeline's jobs, each in a clone of its own, with one database between them."""

    def __init__(self, system: str, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.origin = new_repository(folder / "origin", folder / "home", CHECK)
        self.origin.ok("config", "receive.denyCurrentBranch", "updateInstead")
        self.origin.write("check.sh", "! grep -q BROKEN app.txt\n")
        self.origin.write("fix.sh", "echo fine > app.txt\n")
        self.commit("fine\n")
        (folder / "shared").mkdir()
        self._job = 0

    def commit(self, text: str) -> None:
        """Push a version of app.txt that nothing has checked."""
        self.origin.write("app.txt", text)
        self.origin.ok("add", "-A")
        self.origin.ok("commit", "-q", "--no-verify", "--allow-empty", "-m", text.strip())

    def run(self, name: str) -> Done:
        """Run a job to its end."""
        return self.start(name).ends()

    def start(self, name: str) -> Following:
        """Start a job: its steps, up to the first that fails, in the system's shell."""
        clone = self.clone()
        variables = {**clone.variables, **self._variables(name)}
        return Following(clone.start("bash", "-e", "-c", self.script(name), **variables))

    def clone(self) -> Checkout:
        """A clone of its own for one more job."""
        self._job += 1
        clone = Checkout(self.folder / f"job-{self._job}", self.origin.home)
        self.origin.ok("clone", "-q", str(self.origin.path), str(clone.path))
        return with_variables(clone, {"BUILDGUARD_DB": str(self.folder / DATABASE)})

    def script(self, name: str) -> str:
        """The shell lines of a job."""
        document = jobs(self.system)
        if self.system == "gitlab":
            # All lines of a job in one shell.
            return "\n".join(document[name]["script"])
        # Not the first: the tests run this working copy.
        steps = [step["run"] for step in document["jobs"][name]["steps"] if "run" in step][1:]
        # Each step in a shell of its own.
        return "\n".join(f"bash -e -c {shlex.quote(step)}" for step in steps)

    def _variables(self, name: str) -> dict[str, str]:
        if self.system == "github":
            return {**GITHUB, "GITHUB_JOB": name}
        return {**GITLAB, "CI_JOB_ID": str(1000 + self._job)}


def jobs(system: str) -> Mapping[str, Any]:
    """The documented jobs of a CI system."""
    document: Mapping[str, Any] = yaml.safe_load(documented(f"job: {system}"))
    return document


@pytest.fixture(params=["github", "gitlab"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Pipeline:
    """A pipeline of each CI system."""
    return Pipeline(request.param, tmp_path)


def test_a_green_check_passes_the_job(pipeline: Pipeline) -> None:
    done = pipeline.run("check")
    assert done.status == 0, done
    assert "passed: sh ./check.sh" in done.both


def test_a_red_check_reports_broken_and_leaves_no_fixer_behind(pipeline: Pipeline) -> None:
    pipeline.commit("BROKEN\n")
    done = pipeline.run("check")
    assert done.status == 1, done
    assert "broken: build default, the repository; nobody is fixing it" in done.both


def test_one_fix_job_claims_mends_and_passes(pipeline: Pipeline) -> None:
    pipeline.commit("BROKEN\n")
    assert pipeline.run("check").status == 1
    done = pipeline.run("fix")
    assert done.status == 0, done
    assert "claimed: you are the fixer of build default, the repository" in done.both
    assert "fixed: " in done.both
    assert pipeline.origin.ok("log", "-1", "--format=%s") == "Fix the build"
    assert pipeline.run("check").status == 0, "a clone of what was pushed passes"


def test_a_fix_that_does_not_help_gives_the_role_back_and_fails_the_job(pipeline: Pipeline) -> None:
    pipeline.origin.write("fix.sh", "echo still BROKEN > app.txt\n")
    pipeline.commit("BROKEN\n")
    assert pipeline.run("check").status == 1
    done = pipeline.run("fix")
    assert done.status == 1, done
    assert "failed: sh ./check.sh" in done.both
    assert "gave up claim 1: build default, the repository is broken" in done.both
    assert pipeline.origin.ok("log", "-1", "--format=%s") == "BROKEN", "nothing was pushed"


def test_another_fix_job_waits_and_goes_on_when_the_fixer_has_passed(pipeline: Pipeline) -> None:
    pipeline.commit("BROKEN\n")
    fixer = pipeline.clone()
    check = ("run", "--scope", "repo")
    assert fixer.buildguard(*check, agent="fixer").status == 1
    job = pipeline.start("fix")
    job.says("waiting: fixer is fixing")
    fixer.write("app.txt", "fine\n")
    fixer.ok("commit", "-qam", "fix")
    assert fixer.buildguard(*check, agent="fixer").status == 0
    done = job.ends()
    assert done.status == 0, done
    assert "free: nobody else holds a claim here" in done.both
    assert "claimed:" not in done.both


def test_the_gate_stops_a_deployment_of_a_broken_build(pipeline: Pipeline) -> None:
    assert pipeline.run("check").status == 0
    assert pipeline.run("deploy").status == 0
    pipeline.commit("BROKEN\n")
    assert pipeline.run("check").status == 1
    assert pipeline.run("deploy").status == 1


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_every_documented_job_uses_a_shared_database(system: str) -> None:
    document = jobs(system)
    found = [document["env"]] if system == "github" else [job["variables"] for job in document.values()]
    assert all("BUILDGUARD_DB" in variables for variables in found)


def test_every_documented_job_of_github_installs_buildguard_from_its_repository() -> None:
    document = jobs("github")
    for job in document["jobs"].values():
        _, install, *_ = job["steps"]
        assert install["run"] == 'pipx install "git+$BUILDGUARD_SOURCE"'
    assert "BUILDGUARD_SOURCE" in document["env"]


def test_the_documented_jobs_use_the_whole_contract() -> None:
    for system in ("github", "gitlab"):
        text = documented(f"job: {system}")
        for command in ("run", "claim", "wait", "status --scope repo --exit-code", "release"):
            assert f"buildguard {command}" in text, (system, command)
