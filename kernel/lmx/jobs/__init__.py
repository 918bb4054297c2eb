"""Long work that plugins offer through `lmx_jobs`: each job in a process of its own, with progress and cancel.

    status = jobs.start("mine.count", {"to": 10})       # a bad argument is an InvalidRequest
    status = await jobs.wait(status.id)                 # completed, failed or cancelled

`service.py` is the list of jobs, `job.py` one of them from its start to its end; the process itself is
`lmx/workers/job_main.py`.
"""

from lmx.jobs.news import OnChange
from lmx.jobs.service import Jobs

__all__ = ["Jobs", "OnChange"]
