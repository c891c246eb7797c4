"""A doctor for datasets: what is wrong with images and annotations, one finding at a time."""

from .finding import KINDS as KINDS
from .finding import Finding as Finding
from .opening import open_parts as open_parts
from .survey import Checkup as Checkup
from .survey import check as check
