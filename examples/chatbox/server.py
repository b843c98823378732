"""A chat server: channels, and the people in them."""

import threading

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class ChatBox:
    def __init__(self) -> None:
        self._channels: dict[str, dict[str, pyrolite.Proxy]] = {}
        self._lock = threading.Lock()  # protects the channels, and the proxies in them

    def channels(self) -> list[str]:
        with self._lock:
            return sorted(self._channels)

    def join(self, channel: str, nick: str, member: pyrolite.Proxy) -> list[str]:
        """Come in; returns who is there already."""
        with self._lock:
            present = self._channels.setdefault(channel, {})
            if nick in present:
                raise ValueError(f"{channel} has a {nick} already")
            others = sorted(present)
            present[nick] = member
        self._tell(channel, "SERVER", f"{nick} has joined")
        return others

    def leave(self, channel: str, nick: str) -> None:
        with self._lock:
            present = self._channels.get(channel, {})
            present.pop(nick, None)
            if not present:
                self._channels.pop(channel, None)
        self._tell(channel, "SERVER", f"{nick} has left")

    def say(self, channel: str, nick: str, text: str) -> None:
        self._tell(channel, nick, text)

    def _tell(self, channel: str, nick: str, text: str) -> None:
        print(f"[{channel}] {nick}: {text}")
        with self._lock:
            present = self._channels.get(channel, {})
            for name, member in list(present.items()):
                try:
                    member.heard(channel, nick, text)  # oneway: nobody waits for slow members
                except pyrolite.errors.CommunicationError:
                    print(f"{name} is gone")
                    del present[name]


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.chatbox", daemon.register(ChatBox))
        print("the chat box is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
