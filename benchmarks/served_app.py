"""The application that a server of `benchmarks.served` loads; `SERVED` names framework, builder and workload."""

from __future__ import annotations

import logging
import os

from benchmarks.apps import build
from benchmarks.workloads import WORKLOADS, write_file

__all__ = ["application"]

_framework, _builder, _workload = os.environ["SERVED"].split(":")
logging.disable(logging.CRITICAL)
write_file()
application = build(_framework, _builder, WORKLOADS[_workload])
