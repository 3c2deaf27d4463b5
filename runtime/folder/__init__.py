"""Many images: which becomes which file, what is done already, and all stages at the same time."""

from .item import FAILED, UP_TO_DATE, Item
from .job import Job
from .jobs import Work, plan_work
from .log import LOG_NAME, MADE
from .output import STANDARD
from .pipeline import IN_FLIGHT, Watcher, run_jobs
from .settings import Settings

__all__ = [
    "FAILED",
    "IN_FLIGHT",
    "LOG_NAME",
    "MADE",
    "STANDARD",
    "UP_TO_DATE",
    "Item",
    "Job",
    "Settings",
    "Watcher",
    "Work",
    "plan_work",
    "run_jobs",
]
