import subprocess
import sys

from lmx_anthropic import lmx_surfaces


def test_the_plugin_offers_one_surface_with_its_routes_and_the_shape_of_its_errors() -> None:
    [surface] = lmx_surfaces()

    assert [(route.method, route.path, route.auth, route.shed) for route in surface.mounted()] == [
        ("POST", "/v1/messages", "api", True),
        ("POST", "/v1/messages/count_tokens", "api", True),
    ]
    assert [shape.path for shape in surface.errors] == ["/v1/messages"]


def test_calling_the_hook_imports_no_web_framework() -> None:
    code = "import sys, lmx_anthropic as it; it.lmx_surfaces(); print(sorted({'quart', 'hypercorn'} & {*sys.modules}))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
