"""The tests test what was edited: a copy of the package, installed long ago, passes whatever one breaks."""

from pathlib import Path

from testing.observed import Observed
from testing.support import BUILDGUARD, PROJECT, Checkout

import buildguard


def test_what_the_tests_import_is_this_tree() -> None:
    assert Path(str(buildguard.__file__)).is_relative_to(PROJECT), "pip install -e '.[test]' puts that right"


def test_the_installed_command_that_the_tests_start_is_this_tree(checkout: Checkout, tmp_path: Path) -> None:
    observed = Observed(tmp_path / "observed")
    assert checkout.run(BUILDGUARD, "--version", **observed.variables).status == 0
    started = observed.modules("buildguard")["buildguard"]
    assert Path(str(started)).is_relative_to(PROJECT), "pip install -e '.[test]' puts that right"
