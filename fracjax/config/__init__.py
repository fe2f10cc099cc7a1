"""The schema of a run, its file, and which fields go together."""

from fracjax.config.bounds import CLASS_CUES as CLASS_CUES
from fracjax.config.bounds import Bound as Bound
from fracjax.config.bounds import fold_of as fold_of
from fracjax.config.bounds import value_of as value_of
from fracjax.config.data import Augment as Augment
from fracjax.config.data import Colour as Colour
from fracjax.config.data import Data as Data
from fracjax.config.data import FixedViews as FixedViews
from fracjax.config.data import Views as Views
from fracjax.config.schema import GROUPS as GROUPS
from fracjax.config.schema import Config as Config
from fracjax.config.schema import Ensemble as Ensemble
from fracjax.config.schema import Freeze as Freeze
from fracjax.config.schema import Loss as Loss
from fracjax.config.schema import Model as Model
from fracjax.config.schema import Precision as Precision
from fracjax.config.schema import Sweep as Sweep
from fracjax.config.training import Phase as Phase
from fracjax.config.training import Train as Train
