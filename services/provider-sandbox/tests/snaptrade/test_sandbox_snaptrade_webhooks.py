"""SnapTrade's webhooks arrive at a real listener, signed, and are repeated until they are taken."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Listener:
    """Takes webhooks; refuses the first `refusals` of them."""

    def __init__(self, refusals):
        self.taken, self.refused, self.refusals, self.lock = [], [], refusals, threading.Lock()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(listener.receive(body, self.headers["signature"]))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/hooks"

    def receive(self, body, signature):
        with self.lock:
            kept = self.refused if self.refusals > 0 else self.taken
            self.refusals -= 1
            kept.append((body, signature))
            return 500 if kept is self.refused else 200

    def wait_for(self, count):
        deadline = time.monotonic() + 15
        while len(self.taken) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.taken


@pytest.fixture
def listener():
    made = Listener(refusals=2)
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def is_genuine(body, signature, key):
    text = json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True).encode()
    expected = base64.b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(expected, signature)


def test_events_are_delivered_signed_and_retried_with_the_same_id(listener, delivering):
    with delivering(snaptrade_webhook_url=listener.url, webhook_timescale=0.0001) as live:
        caller = live.registered()
        caller.connect("SCHWAB")
        taken = listener.wait_for(6)
    assert len(taken) == 6
    assert all(is_genuine(body, signature, caller.consumer_key) for body, signature in taken)
    ids = {json.loads(body)["webhookId"] for body, _ in taken}
    assert len(ids) == 6
    assert len(listener.refused) == 2
    assert {json.loads(body)["webhookId"] for body, _ in listener.refused} <= ids
