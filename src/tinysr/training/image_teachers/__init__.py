"""Image teachers: networks whose sharp images a student learns, and the crops they have seen."""

from tinysr.training.image_teachers.config import TeachConfig, read_teach_config
from tinysr.training.image_teachers.released import load_image_teacher
from tinysr.training.image_teachers.rrdbnet import RRDBNet
from tinysr.training.image_teachers.shards import INDEX, TAUGHT, Taught, read_taught
from tinysr.training.image_teachers.teach import Lesson, teach

__all__ = [
    "INDEX",
    "TAUGHT",
    "Lesson",
    "RRDBNet",
    "Taught",
    "TeachConfig",
    "load_image_teacher",
    "read_taught",
    "read_teach_config",
    "teach",
]
