"""Models on their way from a hub: what plugins look up and fetch, the kernel orders, watches and answers for.

`service.py` is the list of downloads, `download.py` one of them; `offers.py` are those that wait for a yes, and
`space.py` is the arithmetic that has to hold before one begins. The transfer is a job (`lmx/jobs`).
"""

from lmx.downloads.service import Downloads

__all__ = ["Downloads"]
