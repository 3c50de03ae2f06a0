"""Things broken for real: brokers killed, links cut and silenced, disks filled, processes stopped."""
