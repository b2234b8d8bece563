"""Messages to all who listen, in this process or through Redis in all: for server-sent events and WebSockets.

Re-exports the parts.
"""

from __future__ import annotations

from .backend import Backend, BroadcastUnavailable
from .broadcast import Broadcast
from .memory import MemoryBackend
from .message import Message
from .redis import RedisBackend
from .subscription import Subscription, SubscriptionEnded

__all__ = [
    "Backend",
    "Broadcast",
    "BroadcastUnavailable",
    "MemoryBackend",
    "Message",
    "RedisBackend",
    "Subscription",
    "SubscriptionEnded",
]
