"""A mail server and a webhook on this machine, which keep what they are sent."""

from __future__ import annotations

import json
import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Mail(NamedTuple):
    """An email as the server got it: the envelope's recipients, and what is in the envelope."""

    recipients: list[str]
    message: EmailMessage


class _Running:
    """Serves on a port of its own from the beginning to the end of a ``with``."""

    daemon_threads = True

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()


class MailServer(_Running, socketserver.ThreadingTCPServer):
    """Enough of SMTP for a client that neither encrypts nor signs in; a context manager."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        super().__init__(_Smtp)


class _Smtp(socketserver.StreamRequestHandler):
    server: MailServer

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        recipients: list[str] = []
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            match line.upper().split()[0]:
                case "DATA":
                    self.say("354 go on")
                    self.server.mails.append(Mail(recipients, self.message()))
                    self.say("250 kept")
                case "RCPT":
                    recipients.append(line[line.index("<") + 1 : line.index(">")])
                    self.say("250 known")
                case "QUIT":
                    return self.say("221 bye")
                case _:
                    self.say("250 fine")

    def message(self) -> EmailMessage:
        lines = iter(self.rfile.readline, b".\r\n")
        return message_from_bytes(b"".join(line.removeprefix(b".") for line in lines), policy=policy.default)


class Webhook(_Running, ThreadingHTTPServer):
    """Keeps the JSON that is posted, by path, and answers with ``status``; a context manager."""

    def __init__(self) -> None:
        self.status = 200
        self.posts: list[tuple[str, dict]] = []
        super().__init__(_Post)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        return [post["text"] for _, post in self.posts]


class _Post(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(content)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        """Keep the tests' output to themselves."""
