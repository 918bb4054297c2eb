from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("tantivy") else ["test_*.py"]
"""Without Tantivy the plugin is idle, and most of it cannot be imported."""
