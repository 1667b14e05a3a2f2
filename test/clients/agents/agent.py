"""The frame of an agent in Python. See README.md beside this file."""
import json
import os
import sys
import threading
import traceback

BOOTSTRAP_SERVERS = os.environ["OTTLA_BOOTSTRAP_SERVERS"]
_writing = threading.Lock()


def tell(message):
    with _writing:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def numbered(index):
    """What the message with this number holds in the scenario of 100,000."""
    return f"{index}:{'x' * (index % 100)}".encode()


def encoded(text):
    return None if text is None else text.encode()


def decoded(value):
    return None if value is None else value.decode()


def serve(operations):
    for line in sys.stdin:
        request = json.loads(line)
        request_id, op = request.pop("id"), request.pop("op")
        try:
            tell({"id": request_id, "value": operations[op](**request)})
        except Exception:
            tell({"id": request_id, "error": traceback.format_exc()})
    os._exit(0)
