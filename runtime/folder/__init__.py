"""Many images: which becomes which file, what is done already, and all stages at the same time."""

from .item import FAILED, UP_TO_DATE, Item
from .job import Job
from .jobs import FolderWork, plan_work
from .log import LOG_NAME, MADE
from .output import STANDARD
from .pipeline import IN_FLIGHT, FolderWatcher, run_jobs
from .settings import FolderSettings

__all__ = [
    "FAILED",
    "IN_FLIGHT",
    "LOG_NAME",
    "MADE",
    "STANDARD",
    "UP_TO_DATE",
    "FolderSettings",
    "FolderWatcher",
    "FolderWork",
    "Item",
    "Job",
    "plan_work",
    "run_jobs",
]
