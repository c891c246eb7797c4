"""Images, datasets, augmentation."""

from .dataset import Dataset as Dataset
from .dataset import Sample as Sample
from .dataset import open_dataset as open_dataset
from .images import ImageFile as ImageFile
from .images import find as find
from .images import pages as pages
from .images import read as read
