"""What the tests of the stores share."""

import pytest

pytest.register_assert_rewrite("store.contract", "store.faulty")
