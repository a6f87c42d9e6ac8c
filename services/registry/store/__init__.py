"""The registry's state, and all of its SQL: `ModelStore` has models and aliases, `ConfigStore` the config."""

from pathlib import Path

from services.registry.store.config_store import ConfigStore
from services.registry.store.model_store import ModelStore

MIGRATIONS = Path(__file__).parent.parent / "migrations"

__all__ = ["MIGRATIONS", "ConfigStore", "ModelStore"]
