"""Synthetic crowds: images and videos with exact masks, hidden parts, order of occlusion and identities."""

from .dataset import SyntheticDataset as SyntheticDataset
from .detector import Detected as Detected
from .detector import DetectorSettings as DetectorSettings
from .detector import detect as detect
from .layout import SceneSettings as SceneSettings
from .scene import Scene as Scene
from .scene import crowd_scene as crowd_scene
from .video import Motion as Motion
from .video import Video as Video
from .video import crowd_video as crowd_video
