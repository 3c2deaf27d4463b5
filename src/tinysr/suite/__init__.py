"""Images that artifacts are held against the model on: photos, and tiles where ports failed."""

from .images import SuiteImage, photo, suite, user_images

__all__ = ["SuiteImage", "photo", "suite", "user_images"]
