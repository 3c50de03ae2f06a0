"""Redis transport for Kombu: Kombu's own, with fanout that can be relied on as far as Redis lets it.

What is sent looks as Kombu's does, so clients with either transport hear each other. Lists (direct and topic exchanges)
are Kombu's own code. Fanout, which is Redis's publish and subscribe, differs in this:

* A queue hears everything from the moment that ``queue_bind`` returns: the server has confirmed by then. Kombu
  subscribes at the first ``drain_events``, and what is published before that is gone.
* A queue belongs to the connection: what one of its channels has declared, another may consume from.
* All queues that are bound to an exchange get all its messages, also those of one channel; Kombu's last one takes them.
* A lost subscription raises out of ``drain_events``. Kombu subscribes again and says nothing, though what was
  published meanwhile is gone. A link that is dead without a word is noticed by ``PING``.
* Anything that is published is a message. What Kombu has not wrapped arrives as its bare bytes, with no properties;
  Kombu drops it, or raises.
* With ``mandatory``, ``basic_return`` callbacks are told when ``PUBLISH`` reached nobody.
* Bodies are handed over as they came; ``Message.decode()`` decompresses, arrival does not.
* Exchange names are names, not patterns: ``*`` and ``[`` in them mean nothing.
* Nothing is written for a binding, so nothing is left behind, and an account needs no right but the one on the channel.
* ``drain_events`` delivers one message, or raises :exc:`TimeoutError` on time.

Features
========
* Type: Virtual
* Supports Direct: Yes
* Supports Topic: Yes
* Supports Fanout: Yes (not stored: who does not listen misses it)
* Supports Priority: Yes, but not on fanout queues; 0 is the highest, as with Kombu's
* Supports TTL: *No*, neither of a message (``expiration``) nor of a queue's messages (``message_ttl``): both are ignored,
  as Kombu's transport does. ``expires`` of a queue is honoured, but not of a fanout queue.

Deliveries of a fanout queue need no acknowledgement: Redis has forgotten them by then. There is no event loop support.

Connection String
=================

.. code-block::

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
    rediss://[USER:PASSWORD@]HOST[:PORT][/DATABASE]

Use it by its path, ``Connection("redis://...", transport="kchat.transports.redis:Transport")``: the alias ``redis``
stays Kombu's. Kombu turns certificate checks off for ``rediss://``: give it ``ssl={"ssl_cert_reqs": "required"}`` as well.

Transport Options
=================

Those of Kombu's transport. These have another meaning or default:

* ``health_check_interval``: seconds of silence after which a subscription is checked; after as many again without an
  answer it is lost. Default 25; 0 for never.
* ``socket_timeout``: seconds to wait for the server's answer. Default 10; Kombu waits for ever.
* ``max_unread``: so many messages are kept for a fanout queue that nobody reads, the newest. Default 10,000, or the
  queue's own ``x-max-length``.
"""

from __future__ import annotations

from .channel import Channel
from .envelope import Message
from .transport import Transport

__all__ = ["Channel", "Message", "Transport"]
