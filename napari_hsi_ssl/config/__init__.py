"""Frozen settings of every step, with a JSON round trip that refuses unknown keys."""

from napari_hsi_ssl.config.chain import ChainConfig as ChainConfig
from napari_hsi_ssl.config.data import AnglesConfig as AnglesConfig
from napari_hsi_ssl.config.data import MaskConfig as MaskConfig
from napari_hsi_ssl.config.data import PatchConfig as PatchConfig
from napari_hsi_ssl.config.data import PcaConfig as PcaConfig
from napari_hsi_ssl.config.data import UmapConfig as UmapConfig
from napari_hsi_ssl.config.data import ViewConfig as ViewConfig
from napari_hsi_ssl.config.settings import SCHEMA_VERSION as SCHEMA_VERSION
from napari_hsi_ssl.config.settings import Settings as Settings
from napari_hsi_ssl.config.settings import digest as digest
from napari_hsi_ssl.config.settings import read_json as read_json
from napari_hsi_ssl.config.splits import SplitConfig as SplitConfig
from napari_hsi_ssl.config.training import RECIPES as RECIPES
from napari_hsi_ssl.config.training import AugmentConfig as AugmentConfig
from napari_hsi_ssl.config.training import ClassifyConfig as ClassifyConfig
from napari_hsi_ssl.config.training import CubeInput as CubeInput
from napari_hsi_ssl.config.training import DistilConfig as DistilConfig
from napari_hsi_ssl.config.training import DomainInput as DomainInput
from napari_hsi_ssl.config.training import EvaluateConfig as EvaluateConfig
from napari_hsi_ssl.config.training import LabelInput as LabelInput
from napari_hsi_ssl.config.training import PretrainConfig as PretrainConfig
from napari_hsi_ssl.config.training import RunConfig as RunConfig
from napari_hsi_ssl.config.training import SlurmConfig as SlurmConfig
from napari_hsi_ssl.config.training import TrainerConfig as TrainerConfig
from napari_hsi_ssl.config.training import TrunkConfig as TrunkConfig
from napari_hsi_ssl.config.training import window_advice as window_advice
