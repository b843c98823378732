"""The message bus: publishers send messages about topics, subscribers of these topics get them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from storages import MemoryStorage, Message, Storage

import pyrolite
from pyrolite.errors import CommunicationError, MessageTooLargeError

NAME = "example.messagebus"

#: What the one instance is made with; set by the server.
choose_storage: Callable[[], Storage] = MemoryStorage


def create(cls: type[MessageBus]) -> MessageBus:
    """Make the one instance of the bus, at the first call of a client."""
    storage = choose_storage()
    print("a message bus with a", type(storage).__name__)
    return cls(storage)


@pyrolite.behavior(instance_mode="single", instance_creator=create)
class MessageBus:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._subscribers: dict[str, set[pyrolite.Proxy]] = {}
        self._lock = threading.Lock()  # protects the subscribers
        self._something_to_do = threading.Event()
        threading.Thread(target=self._deliver_for_ever, name="delivery", daemon=True).start()

    @pyrolite.expose
    def publish(self, topic: str, text: str) -> None:
        """Accept a message. It is kept until somebody has subscribed to the topic."""
        self._storage.add(topic, text)
        self._something_to_do.set()

    @pyrolite.expose
    def subscribe(self, topic: str, subscriber: pyrolite.Proxy) -> None:
        """From now on, call ``receive(topic, text)`` of the subscriber; its object arrives here as a proxy."""
        with self._lock:
            self._subscribers.setdefault(topic, set()).add(subscriber)
        self._something_to_do.set()

    @pyrolite.expose
    def unsubscribe(self, topic: str, subscriber: pyrolite.Proxy) -> None:
        with self._lock:
            self._subscribers.get(topic, set()).discard(subscriber)

    @pyrolite.expose
    def waiting(self) -> dict[str, int]:
        """How many messages wait for a subscriber, by topic."""
        counts: dict[str, int] = {}
        for message in self._storage.waiting():
            counts[message.topic] = counts.get(message.topic, 0) + 1
        return counts

    def _deliver_for_ever(self) -> None:
        while True:
            self._something_to_do.wait()
            self._something_to_do.clear()
            messages = self._storage.waiting()
            with self._lock:
                subscribers = {topic: list(found) for topic, found in self._subscribers.items() if found}
            for topic, found in subscribers.items():
                about_it = [message for message in messages if message.topic == topic]
                if about_it:
                    for subscriber in found:
                        self._deliver(subscriber, about_it)
                    self._storage.remove(about_it)

    def _deliver(self, subscriber: pyrolite.Proxy, messages: list[Message]) -> None:
        try:
            try:
                self._send(subscriber, messages)
            except MessageTooLargeError:
                print(f"{len(messages)} messages are too much for one batch, sending them one by one")
                for message in messages:
                    self._send(subscriber, [message])
        except CommunicationError:
            print("a subscriber is gone")
            with self._lock:
                for found in self._subscribers.values():
                    found.discard(subscriber)

    @staticmethod
    def _send(subscriber: pyrolite.Proxy, messages: list[Message]) -> None:
        batch = pyrolite.batch(subscriber)
        for message in messages:
            batch.receive(message.topic, message.text)
        for _ in batch():  # an exception of the subscriber is raised here
            pass
