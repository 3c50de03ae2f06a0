"""RabbitMQ and other AMQP 0-9-1 brokers: py-amqp with its own framing, and what it reads made safe."""
