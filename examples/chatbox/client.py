"""Chats: python client.py [NICK [CHANNEL]]."""

import contextlib
import sys
import threading

import pyrolite


class Member:
    """What the server calls when somebody says something."""

    @pyrolite.expose
    @pyrolite.oneway
    def heard(self, channel: str, nick: str, text: str) -> None:
        print(f"[{channel}] {nick}: {text}")


def main() -> None:
    nick = sys.argv[1] if len(sys.argv) > 1 else input("Your name: ")
    channel = sys.argv[2] if len(sys.argv) > 2 else input("Channel: ")
    member = Member()
    with pyrolite.Daemon() as daemon, pyrolite.Proxy("PYRONAME:example.chatbox") as chatbox:
        daemon.register(member)
        listening = threading.Thread(target=daemon.requestLoop, name="listening")
        listening.start()
        try:
            present = chatbox.join(channel, nick, member)
            print(f"joined {channel}, where there are:", ", ".join(present) or "none yet")
            print("type what you have to say, and Ctrl-D or /quit at the end")
            for line in sys.stdin:
                text = line.strip()
                if text == "/quit":
                    break
                chatbox.say(channel, nick, text)
            chatbox.leave(channel, nick)
        finally:
            daemon.shutdown()
            listening.join()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it, too
        main()
