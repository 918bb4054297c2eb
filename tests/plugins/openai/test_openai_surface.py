import subprocess
import sys

from lmx_openai import lmx_surfaces


def test_the_plugin_offers_one_surface_with_its_routes() -> None:
    [surface] = lmx_surfaces()

    assert [(route.method, route.path, route.auth) for route in surface.mounted()] == [
        ("POST", "/v1/chat/completions", "api"),
        ("POST", "/v1/completions", "api"),
        ("POST", "/v1/embeddings", "api"),
        ("POST", "/v1/rerank", "api"),
        ("POST", "/rerank", "api"),
        ("GET", "/v1/models", "api"),
        ("GET", "/v1/models/{id:path}", "api"),
    ]


def test_calling_the_hook_imports_no_web_framework() -> None:
    code = "import sys, lmx_openai; lmx_openai.lmx_surfaces(); print(sorted({'quart', 'hypercorn'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
