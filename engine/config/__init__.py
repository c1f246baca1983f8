"""The run configurations, each setting declared once.

TOML files, command-line flags, the app's launch form and the JSON schema are all made from these models.
Every field has its meaning, unit and default. Unknown keys are refused with the nearest spelling.
"""

from engine.config.base import Fraction, RunHeader, Settings
from engine.config.bitext import BitextConfig
from engine.config.collections import (
    CollectionConfig,
)
from engine.config.cross_encoder import CrossEncoderConfig
from engine.config.distillation import LossConfig, TrainingConfig, TransportConfig
from engine.config.encoders import EncoderConfig
from engine.config.evaluation import EvaluationConfig
from engine.config.fuse import FuseConfig, FusedSystem
from engine.config.imported import ImportConfig, ImportedRanking
from engine.config.lexical import LexicalConfig
from engine.config.load import (
    json_schema,
    load_config,
    merge_settings,
    over_preset,
    overridden,
    parse_config,
    preset_settings,
    presets,
    read_settings,
)
from engine.config.pretraining import PretrainConfig, TextConfig
from engine.config.runs import DistilConfig, EvaluateConfig, RunConfig
from engine.config.study import StudyConfig
from engine.config.teacher import QuestionSource, TeacherConfig
from engine.config.translation import TranslationConfig

__all__ = [
    "BitextConfig",
    "CollectionConfig",
    "CrossEncoderConfig",
    "DistilConfig",
    "EncoderConfig",
    "EvaluateConfig",
    "EvaluationConfig",
    "Fraction",
    "FuseConfig",
    "FusedSystem",
    "ImportConfig",
    "ImportedRanking",
    "LexicalConfig",
    "LossConfig",
    "PretrainConfig",
    "QuestionSource",
    "RunConfig",
    "RunHeader",
    "Settings",
    "StudyConfig",
    "TeacherConfig",
    "TextConfig",
    "TrainingConfig",
    "TranslationConfig",
    "TransportConfig",
    "json_schema",
    "load_config",
    "merge_settings",
    "overridden",
    "over_preset",
    "parse_config",
    "preset_settings",
    "presets",
    "read_settings",
]
