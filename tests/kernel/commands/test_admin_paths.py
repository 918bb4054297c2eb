import pytest

from lmx.commands.admin_paths import model_path
from lmx_hookspecs.errors import InvalidRequest


@pytest.mark.parametrize(
    ("model_id", "path"),
    [
        ("echo", "/admin/models/echo"),
        ("org/name", "/admin/models/org/name"),
        ("org/a b?c#d%2e", "/admin/models/org/a%20b%3Fc%23d%252e"),
        ("load", "/admin/models/load"),
    ],
)
def test_an_id_is_one_path_below_the_models(model_id: str, path: str) -> None:
    assert model_path(model_id) == path
    assert model_path(model_id, "pin") == f"{path}/pin"


NO_IDS = ("", "..", "../jobs/x", "org/../../jobs", "/etc", "a//b", "a/", ".", "a\\b", "~/x")
OTHER_ROUTES = ("available", "downloads", "download/0123", "download/x/progress", "org/name/pin", "name/performance")


@pytest.mark.parametrize("model_id", [*NO_IDS, *OTHER_ROUTES])
def test_an_id_that_leads_elsewhere_is_refused(model_id: str) -> None:
    with pytest.raises(InvalidRequest):
        model_path(model_id)
