"""The servers that a run of the platform needs: RabbitMQ and PostgreSQL, wherever they come from.

    with start_stack("demo") as stack:
        stack.servers.postgres_url, stack.servers.amqp_url, stack.servers.management_url
        stack.rabbitmq.kill()
        stack.rabbitmq.start()

They come, in this order, from addresses in the environment, a Docker Engine, binaries on this machine, or apt.
"""

from broker.servers.errors import StackError
from broker.servers.servers import Server, Servers
from broker.servers.start import Stack, start_stack

__all__ = ["Server", "Servers", "Stack", "StackError", "start_stack"]
