"""From raw logs to behaviour tables and moments."""

from causalsem.behaviour.aggregate import behaviour_shards, behaviours
from causalsem.behaviour.cleaning import Cleaning
from causalsem.behaviour.event_log import EventLog
from causalsem.behaviour.moments import Moments, as_moments, moments
from causalsem.behaviour.origin import Origin
from causalsem.behaviour.sources import DuckDB
from causalsem.behaviour.stages import STAGE_TIERS, STAGES
from causalsem.behaviour.table import BehaviourTable, as_table

__all__ = [
    "STAGES",
    "STAGE_TIERS",
    "BehaviourTable",
    "Cleaning",
    "DuckDB",
    "EventLog",
    "Moments",
    "Origin",
    "as_moments",
    "as_table",
    "behaviour_shards",
    "behaviours",
    "moments",
]
